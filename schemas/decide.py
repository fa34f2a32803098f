"""The one decision: what a message's owner does with a command, an ack, a lapse or a forgotten stub (DESIGN section 5).

Pure: everything it needs is in its arguments. It is called by the owner alone, and by the tests.
"""

from typing import assert_never

from msgspec.structs import replace

from schemas.announce import announcements
from schemas.commands import Announce, Cancel, Command, Create, Discard, Edit, Erase, Look, MarkSent, RetryDead, SendNow
from schemas.decide_ack import acked, lapsed
from schemas.decide_cancel import cancelled
from schemas.decide_create import announced, created
from schemas.decide_dead import decided_by_hand
from schemas.decide_edit import edited, sent_now
from schemas.decide_erase import erased
from schemas.decide_look import looked
from schemas.decide_released import released
from schemas.decide_replay import repeated
from schemas.decide_unsaid import said_again
from schemas.decide_withheld import withheld
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
    Released,
    Seen,
    Unsaid,
    Wait,
    Withheld,
    must_wait,
)
from schemas.rows import Remembered
from schemas.times import ms_of


def decide(seen: Seen, given: Given, now_ms: int, policy: Policy) -> Decision | Wait:
    """What follows from an input. A replay decides nothing anew: it gives the same answer and events again."""
    found = _decide(seen, given, now_ms, policy)
    if isinstance(found, Wait) or not found.events or found.events[-1].kind != "finished":
        return found
    row = found.row or seen.row
    assert row is not None
    return (
        replace(found, announce=announcements(row, found.events, now_ms, policy)) if row.message.on_finished else found
    )


def _decide(seen: Seen, given: Given, now_ms: int, policy: Policy) -> Decision | Wait:
    match given:
        case Asked(command):
            return _asked(seen, given, command, now_ms, policy)
        case Acked(ack):
            return acked(seen, ack, now_ms, policy)
        case Lapsed(_, target):
            return lapsed(seen, target, now_ms, policy)
        case Released():
            return released(seen, given, now_ms, policy)
        case Withheld(_, reason):
            return withheld(seen, reason, now_ms, policy)
        case Unsaid():
            return said_again(seen)
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
        case SendNow():
            return WAIT if must_wait(seen) else sent_now(seen, asked, command, now_ms)
        case Erase():
            return erased(seen, asked, command, now_ms, policy)
        case RetryDead() | Discard() | MarkSent():
            return decided_by_hand(seen, asked, command, now_ms, policy)
        case Announce():
            return announced(seen, asked, command, now_ms, policy)
        case Look():
            return Decision(answer=looked(seen, command))
        case _:
            assert_never(command)


def _known(seen: Seen, command_id: str) -> Remembered | None:
    if seen.row is not None:
        return seen.row.answered(command_id)
    return next((r for r in seen.recent if r.command_id == command_id), None)
