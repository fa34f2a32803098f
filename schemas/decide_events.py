"""The events that decisions tell: derived from the row, so that a replay tells the same (rule 1)."""

from datetime import datetime

from schemas.events import DeadLetter, Event, EventKind
from schemas.lifecycle import DeliveryState
from schemas.rows import Delivery, Remembered, Row

BY_SENDER = "cancelled by its sender"
KINDS: dict[DeliveryState, EventKind] = {
    DeliveryState.DELIVERED: "delivered",
    DeliveryState.DEAD: "dead",
    DeliveryState.CANCELLED: "cancelled",
    DeliveryState.EXPIRED: "expired",
    DeliveryState.UNKNOWN: "unknown",
    DeliveryState.RETRYING: "retrying",
    DeliveryState.SCHEDULED: "deferred",
}


def whole_event(row: Row, kind: EventKind) -> Event:
    """An event that carries the message."""
    return Event(
        event_id=f"{row.id}!{row.birth}!{kind}!{row.revision}",
        kind=kind,
        id=row.id,
        at=row.updated_at,
        birth=row.birth,
        revision=row.revision,
        state=row.state,
        due_at=row.message.due_at,
        message=row.message,
    )


def refused_event(row: Row, note: Remembered) -> Event:
    """An edit or cancel that came too late: audits want to know."""
    return Event(
        event_id=f"{row.id}!{row.birth}!refused!{note.command_id}",
        kind="refused",
        id=row.id,
        at=row.updated_at,
        birth=row.birth,
        revision=row.revision,
        state=note.state or row.state,
        reason=note.detail,
    )


def erased_event(row: Row) -> Event:
    """Readers take away what they keep of the message."""
    return Event(
        event_id=f"{row.id}!{row.birth}!erased",
        kind="erased",
        id=row.id,
        at=row.updated_at,
        birth=row.birth,
        revision=row.revision,
        state=row.state,
    )


def delivery_event(row: Row, d: Delivery, turn: int | None = None, kind: EventKind | None = None) -> Event:
    """What a delivery has become; `turn`: of the attempt that made it so, where the row is a turn further."""
    kind = kind or KINDS[d.state]
    return Event(
        event_id=f"{row.id}!{row.birth}!{d.target}!{turn or d.turn}!{kind}",
        kind=kind,
        id=row.id,
        at=row.updated_at,
        birth=row.birth,
        revision=row.revision,
        state=row.state,
        target=d.target,
        turn=turn or d.turn,
        attempt=d.attempts,
        channel=d.channel,
        delivery_state=d.state,
        due_at=d.due_at,
        started_at=d.last_attempt_at,
        maybe_sent=d.maybe_sent,
        reason=d.reason,
        response=d.last_response,
    )


def dead_letter(row: Row, d: Delivery, when: datetime) -> DeadLetter:
    """A copy of what waits for a person, while the row is whole."""
    return DeadLetter(id=row.id, at=when, target=d.target, state=d.state, reason=d.reason, row=row)


def final_event(row: Row) -> tuple[Event, ...]:
    """The one that says that nothing will move any more, if so: the same whenever it is told again."""
    if not row.finished:
        return ()
    turns = sum([d.turn for d in row.deliveries])
    return (
        Event(
            event_id=f"{row.id}!{row.birth}!finished!{turns}",
            kind="finished",
            id=row.id,
            at=row.finished_at or row.updated_at,
            birth=row.birth,
            revision=row.revision,
            state=row.state,
        ),
    )
