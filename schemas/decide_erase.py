"""What becomes of an erasure: pure, called by decide alone."""

from msgspec.structs import replace

from schemas.commands import Erase
from schemas.decide_answers import answer_to, not_found, noted, refused, remembered
from schemas.decide_events import delivery_event, erased_event
from schemas.decisions import Asked, Decision, Policy, Seen
from schemas.events import Event
from schemas.lifecycle import HELD_WHOLE
from schemas.rows import Delivery, Moment, Row, erased_content
from schemas.times import at


def erased(seen: Seen, asked: Asked, command: Erase, now_ms: int, policy: Policy) -> Decision:
    """Of a finished message its stub stays, to answer repeats; what was a dead letter is one no more."""
    row = seen.row
    if row is None:
        return not_found(asked, command)
    if not row.finished:
        detail = "it is not finished: cancel it first, or wait for its end"
        return refused(seen, asked, command, "wrong_state", detail, now_ms)
    new = row if row.erased else _emptied(row, now_ms, policy)
    note = remembered(asked, command, new, "accepted")
    moment = None if row.erased else Moment(at=at(now_ms), what="erased")
    new = noted(new, seen, note, now_ms, moment)
    events = () if row.erased else events_of_erasure(new)
    answer = replace(answer_to(command, note), repeated=row.erased)
    return Decision(writes=True, row=new, events=events, answer=answer, remember=note)


def events_of_erasure(row: Row) -> tuple[Event, ...]:
    """What was held for a person is held no more; and readers take away what they keep."""
    dropped = (delivery_event(row, d, kind="discarded") for d in row.deliveries if d.discarded)
    return (*dropped, erased_event(row))


def _emptied(row: Row, now_ms: int, policy: Policy) -> Row:
    held = any(d.held for d in row.deliveries)
    return replace(
        row,
        message=erased_content(row.message),
        deliveries=tuple(_erased_delivery(d) for d in row.deliveries),
        timeline=tuple(replace(moment, note="") for moment in row.timeline),
        stub=True,
        erased=True,
        forget_at=at(now_ms + policy.idempotency_ms) if held else row.forget_at,
    )


def _erased_delivery(d: Delivery) -> Delivery:
    """Without its address and what the receiver said; the reasons of other states are words of our own."""
    given_up = d.state in HELD_WHOLE
    return replace(d, to="", last_response=None, discarded=given_up, reason="" if given_up else d.reason)
