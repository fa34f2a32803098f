"""A command that was answered before: the same answer, and what a crash may have kept from being told."""

from msgspec.structs import replace

from schemas.commands import Command
from schemas.decide_answers import answer_to
from schemas.decide_events import delivery_event, final_event, refused_event, whole_event
from schemas.decisions import Decision, Seen
from schemas.events import Event
from schemas.rows import Remembered

REFUSALS = frozenset({"too_late", "revision_mismatch", "refused"})


def repeated(seen: Seen, command: Command, known: Remembered) -> Decision:
    """The answer given before, and the events that may have been lost with a crash right after the row was written."""
    row = seen.row
    events: tuple[Event, ...] = ()
    if row is not None and known.result == "accepted" and known.revision == row.revision:
        events = (whole_event(row, "scheduled" if row.revision == 1 else "edited"),)
    elif row is not None and known.result in REFUSALS and not known.deliveries:
        events = (refused_event(row, known),)
    elif row is not None and known.deliveries:
        events = tuple(
            delivery_event(row, d) for d in row.deliveries if d.reason == "cancelled by its sender"
        ) + final_event(row)
    return Decision(events=events, answer=replace(answer_to(command, known), repeated=True))
