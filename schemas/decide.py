"""The one decision: what a message's owner does with a command, an ack, a lapse or a forgotten stub (DESIGN section 5).

Pure: everything it needs is in its arguments. It is called by the owner alone, and by the tests.
"""

from typing import assert_never

from schemas.commands import Cancel, Command, Create, Edit, Look
from schemas.decide_ack import acked, lapsed
from schemas.decide_cancel import cancelled
from schemas.decide_create import created
from schemas.decide_edit import edited
from schemas.decide_look import looked
from schemas.decide_replay import repeated
from schemas.decisions import (
    NOTHING,
    WAIT,
    Acked,
    Asked,
    Decision,
    Forgotten,
    Given,
    Lapsed,
    Policy,
    Seen,
    Wait,
    must_wait,
)
from schemas.rows import Remembered
from schemas.times import ms_of


def decide(seen: Seen, given: Given, now_ms: int, policy: Policy) -> Decision | Wait:
    """What follows from an input. A replay decides nothing anew: it gives the same answer and events again."""
    match given:
        case Asked(command):
            return _asked(seen, given, command, now_ms, policy)
        case Acked(ack):
            return acked(seen, ack, now_ms, policy)
        case Lapsed(_, target):
            return lapsed(seen, target, now_ms, policy)
        case Forgotten():
            row = seen.row
            over = row is not None and row.forget_at is not None and ms_of(row.forget_at) <= now_ms
            return Decision(writes=True) if over else NOTHING
        case _:
            assert_never(given)


def _asked(seen: Seen, asked: Asked, command: Command, now_ms: int, policy: Policy) -> Decision | Wait:
    known = _known(seen, command.command_id)
    if known is not None and not isinstance(command, Look):
        return repeated(seen, command, known)
    match command:
        case Create():
            return created(seen, asked, command, now_ms, policy)
        case Edit():
            return WAIT if must_wait(seen) else edited(seen, asked, command, now_ms, policy)
        case Cancel():
            return WAIT if must_wait(seen) else cancelled(seen, asked, command, now_ms, policy)
        case Look():
            return Decision(answer=looked(seen, command))
        case _:
            assert_never(command)


def _known(seen: Seen, command_id: str) -> Remembered | None:
    if seen.row is not None:
        return seen.row.answered(command_id)
    return next((r for r in seen.recent if r.command_id == command_id), None)
