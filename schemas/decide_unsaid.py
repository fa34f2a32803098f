"""What an owner tells again of what a former one changed by itself: pure, called by decide alone."""

from schemas.decide_events import dead_letter, delivery_event, final_event, whole_event
from schemas.decide_released import CHANGED, RESUMED
from schemas.decisions import NOTHING, Decision, Seen
from schemas.events import Event
from schemas.lifecycle import DeliveryState
from schemas.rows import Delivery, Row

ENDED = frozenset({DeliveryState.EXPIRED, DeliveryState.CANCELLED, DeliveryState.UNKNOWN})


def said_again(seen: Seen) -> Decision:
    """The events of a row that no command or ack changed, from the row alone; their ids are those of the first time."""
    row = seen.row
    if row is None:
        return NOTHING
    events = (*_made(row), *(event for d in row.deliveries for event in _moved(row, d)), *final_event(row))
    letters = () if row.stub else tuple(dead_letter(row, d, row.updated_at) for d in row.deliveries if d.held)
    return Decision(events=events, dead=letters)


def _made(row: Row) -> tuple[Event, ...]:
    """Of an occurrence: where nothing has come after its making."""
    return (whole_event(row, "scheduled"),) if row.was_just_made else ()


def _moved(row: Row, d: Delivery) -> tuple[Event, ...]:
    """It lapsed or gave way; or a slot or a pause let it go into another turn."""
    if d.state in ENDED:
        return (delivery_event(row, d),)
    return (delivery_event(row, d, d.turn - 1),) if d.turn > 1 and d.reason in (CHANGED, RESUMED) else ()
