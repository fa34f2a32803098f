"""A command that was answered before: the same answer, and what a crash may have kept from being told."""

from typing import assert_never

from msgspec.structs import replace

from schemas.commands import Announce, Cancel, Command, Create, Discard, Edit, Erase, Look, MarkSent, RetryDead, SendNow
from schemas.decide_answers import answer_to
from schemas.decide_dead import events_by_hand
from schemas.decide_erase import events_of_erasure
from schemas.decide_events import BY_SENDER, delivery_event, final_event, refused_event, whole_event
from schemas.decisions import Decision, Seen
from schemas.events import Event
from schemas.rows import Remembered, Row

REFUSALS = frozenset({"too_late", "revision_mismatch", "refused", "wrong_state"})


def repeated(seen: Seen, command: Command, known: Remembered) -> Decision:
    """The answer given before, and the events that may have been lost with a crash right after the row was written."""
    row = seen.row
    events: tuple[Event, ...] = ()
    if row is not None and known.result in REFUSALS and not known.deliveries:
        events = (refused_event(row, known),)
    elif row is not None and known.result != "not_found":
        events = _events(row, command, known)
    return Decision(events=events, answer=replace(answer_to(command, known), repeated=True))


def _events(row: Row, command: Command, known: Remembered) -> tuple[Event, ...]:
    match command:
        case Create() | Announce():
            return (whole_event(row, "scheduled"),) if row.revision == 1 else ()
        case Edit() | SendNow():
            return (whole_event(row, "edited"),) if row.revision == known.revision else ()
        case Cancel():
            stopped = [d for d in row.deliveries if d.reason == BY_SENDER]
            return (*(delivery_event(row, d) for d in stopped), *final_event(row))
        case Erase():
            return events_of_erasure(row)
        case RetryDead() | Discard() | MarkSent():
            return events_by_hand(row, command)
        case Look():
            return ()
        case _:
            assert_never(command)
