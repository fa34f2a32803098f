"""What becomes of a courier's answer: pure, called by decide alone."""

from typing import assert_never

from msgspec.structs import replace

from schemas.decide_end import finished
from schemas.decide_events import dead_letter, delivery_event, final_event
from schemas.decisions import NOTHING, Decision, Policy, Seen
from schemas.ids import delivery_key
from schemas.lifecycle import (
    LIVE,
    DeliveryState,
    Doubt,
    GiveUp,
    Lapse,
    Move,
    Moved,
    PutOff,
    RetryAt,
    transition,
)
from schemas.lifecycle import Delivered as Taken
from schemas.occurrence import MISSED_MARK
from schemas.outcomes import Ack, Deferred, Delivered, Expired, Outcome, Rejected, RetryLater, Stale, Unknown
from schemas.retry import NoMore, jittered, next_delay
from schemas.rows import TIMELINE_KEPT, Delivery, Moment, Row, expires_of
from schemas.times import at, ms_of

TRIED = (Delivered, RetryLater, Rejected, Unknown)
"""Outcomes of an attempt; the others are of none."""


def acked(seen: Seen, ack: Ack, now_ms: int, policy: Policy) -> Decision:
    """An ack of another birth or turn changes nothing (rule 3, `stale_ack`); its event may have been lost, so it goes again."""
    row = seen.row
    if row is None or is_of_another(row, ack) or ack.target >= len(row.deliveries):
        return NOTHING
    d = row.deliveries[ack.target]
    if is_stale(d, ack) or d.state not in LIVE:
        return _again(row, d, ack)
    tried = _attempted(d, ack)
    moved = transition(
        tried.state,
        _move(row, tried, ack, now_ms, policy),
        maybe_sent=tried.maybe_sent,
        attempts=tried.attempts,
    )
    assert moved is not None
    return settled(seen, row, _moved(seen, tried, moved), ack.turn, now_ms, policy)


def is_of_another(row: Row, ack: Ack) -> bool:
    """Whether the id was used again since: another message (rule 3, `birth`)."""
    return row.birth != ack.birth


def is_stale(d: Delivery, ack: Ack) -> bool:
    """Whether the delivery is in another turn than the ack (rule 3, `stale_ack`)."""
    return d.turn != ack.turn


def was_perhaps_sent(result: Outcome) -> bool:
    """Whether a request went out and no response came back (rule 10, `maybe_sent`)."""
    return getattr(result, "maybe_sent", False)


def lapsed(seen: Seen, target: int, now_ms: int, policy: Policy) -> Decision:
    """The spout's word that a delivery is past its `expires_at`; looked at again, since an edit may have come between."""
    row = seen.row
    if row is None:
        return NOTHING
    d = row.deliveries[target]
    expires_at = expires_of(row.message, d)
    if expires_at is None or now_ms < ms_of(expires_at):
        return NOTHING
    missed = expires_at != row.message.expires_at
    reason = f"{MISSED_MARK}it could not begin in time" if missed else "expired before it was sent"
    moved = transition(d.state, Lapse(), maybe_sent=d.maybe_sent, attempts=d.attempts)
    if moved is None:
        return NOTHING
    return settled(seen, row, replace(d, state=moved.state, reason=reason), d.turn, now_ms, policy)


def settled(seen: Seen, row: Row, d: Delivery, turn: int, now_ms: int, policy: Policy) -> Decision:
    """The row with one delivery moved, and what has to be told of it."""
    deliveries = (*row.deliveries[: d.target], d, *row.deliveries[d.target + 1 :])
    moment = Moment(at=at(now_ms), what=d.state.value, target=d.target if len(deliveries) > 1 else None, note=d.reason)
    whole = replace(
        row,
        epoch=seen.epoch,
        deliveries=deliveries,
        timeline=(*row.timeline, moment)[-TIMELINE_KEPT:],
        updated_at=at(now_ms),
    )
    new = finished(whole, now_ms, policy)
    events = (delivery_event(new, d, turn), *final_event(new))
    dead = (dead_letter(whole, d, at(now_ms)),) if d.held else ()
    return Decision(writes=True, row=new, events=events, dead=dead)


def _again(row: Row, d: Delivery, ack: Ack) -> Decision:
    by_hand = d.by_hand is not None and d.by_hand.turn == d.turn
    moved_on = d.turn == ack.turn + 1 and d.state in (DeliveryState.RETRYING, DeliveryState.SCHEDULED) and not by_hand
    if moved_on or (d.turn == ack.turn and d.state not in LIVE):
        letters = (dead_letter(row, d, row.updated_at),) if d.held and not row.stub else ()
        return Decision(events=(delivery_event(row, d, ack.turn), *final_event(row)), dead=letters)
    return NOTHING


def _attempted(d: Delivery, ack: Ack) -> Delivery:
    """The delivery with what the attempt left on it: count, times, the receiver's response."""
    result = ack.result
    tried = isinstance(result, TRIED)
    maybe = was_perhaps_sent(result)
    return replace(
        d,
        attempts=d.attempts + tried,
        maybe_sent=False if isinstance(result, Delivered) else d.maybe_sent or maybe,
        first_attempt_at=d.first_attempt_at or (ack.started_at if tried else None),
        late_ms=_late_ms(d, ack) if tried and d.late_ms is None else d.late_ms,
        last_attempt_at=ack.started_at if tried else d.last_attempt_at,
        last_response=result.response if tried else d.last_response,
        reason=getattr(result, "reason", ""),
        slot=result.slot if isinstance(result, Deferred) else "",
    )


def _late_ms(d: Delivery, ack: Ack) -> int | None:
    """How late the first attempt began: a delivery that was put off is due at its slot, not before."""
    return None if ack.started_at is None else max(0, ms_of(ack.started_at) - ms_of(d.due_at))


def _move(row: Row, d: Delivery, ack: Ack, now_ms: int, policy: Policy) -> Move:
    result: Outcome = ack.result
    match result:
        case Delivered():
            return Taken()
        case RetryLater(after_ms=after_ms):
            return _retry(row, d, after_ms, now_ms, policy)
        case Rejected():
            return GiveUp()
        case Deferred(until=until):
            return PutOff(ms_of(until))
        case Stale():
            return PutOff(ms_of(d.due_at))
        case Expired():
            return Lapse()
        case Unknown():
            return Doubt()
        case _:
            assert_never(result)


def _retry(row: Row, d: Delivery, after_ms: int | None, now_ms: int, policy: Policy) -> Move:
    own = row.message.retry
    delays = policy.delays_ms.get(d.channel, ()) if own is None else own.delays_ms
    again = next_delay(delays, d.attempts_in_schedule, after_ms)
    if isinstance(again, NoMore):
        return GiveUp()
    return RetryAt(now_ms + jittered(again.delay_ms, f"{delivery_key(row.id, d.target)}!{d.turn}"))


def _moved(seen: Seen, d: Delivery, moved: Moved) -> Delivery:
    """A delivery that will be emitted again has a new turn, begun in this epoch (rule 3, `turn`)."""
    if moved.due_ms is None:
        return replace(d, state=moved.state)
    return replace(d, state=moved.state, due_at=at(moved.due_ms), turn=d.turn + 1, turn_epoch=seen.epoch)
