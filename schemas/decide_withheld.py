"""What becomes of an occurrence that gives way to another run of its schedule: pure, called by decide alone."""

from datetime import timedelta

from msgspec.structs import replace

from schemas.decide_end import finished
from schemas.decide_events import delivery_event, final_event
from schemas.decisions import NOTHING, Decision, Mark, Policy, Seen
from schemas.lifecycle import LIVE, DeliveryState
from schemas.occurrence import MISSED_MARK
from schemas.rows import TIMELINE_KEPT, Delivery, Moment
from schemas.times import at


def withheld(seen: Seen, reason: str, now_ms: int, policy: Policy) -> Decision:
    """What was not begun ends here.

    What a former owner may have emitted is put to the courier, who knows: it is emitted as too late to begin, and comes
    back as what it is.
    """
    row = seen.row
    if row is None or row.message.occurrence is None:
        return NOTHING
    waiting = [d for d in row.deliveries if d.state in LIVE and not d.attempts and not d.maybe_sent]
    free = {d.target for d in waiting if seen.mark(d.target) is Mark.FREE}
    doubted = any(seen.mark(d.target) is Mark.PERHAPS for d in waiting)
    if not free and not doubted:
        return NOTHING
    of, message = row.message.occurrence, row.message
    if doubted:
        message = replace(message, occurrence=replace(of, start_within=timedelta(0), alone=False, latest=False))
    deliveries = tuple(_ended(d, reason) if d.target in free else d for d in row.deliveries)
    moment = Moment(at=at(now_ms), what="withheld", note=reason)
    new = replace(
        row,
        epoch=seen.epoch,
        message=message,
        deliveries=deliveries,
        timeline=(*row.timeline, moment)[-TIMELINE_KEPT:],
        updated_at=at(now_ms),
    )
    new = finished(new, now_ms, policy)
    events = (*(delivery_event(new, d) for d in new.deliveries if d.target in free), *final_event(new))
    return Decision(writes=True, row=new, events=events)


def _ended(d: Delivery, reason: str) -> Delivery:
    missed = reason.startswith(MISSED_MARK)
    return replace(d, state=DeliveryState.EXPIRED if missed else DeliveryState.CANCELLED, reason=reason)
