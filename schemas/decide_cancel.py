"""What becomes of a cancel: pure, called by decide alone."""

from msgspec.structs import replace

from schemas.commands import Cancel
from schemas.decide_answers import answer_to, kept_only, not_found, noted, plain_answer, refused, remembered, shown
from schemas.decide_end import finished
from schemas.decide_events import BY_SENDER, dead_letter, delivery_event, final_event
from schemas.decisions import Asked, Decision, Mark, Policy, Seen
from schemas.lifecycle import LIVE, DeliveryState, Stop, transition
from schemas.rows import Delivery, Moment, Result
from schemas.times import at


def cancelled(seen: Seen, asked: Asked, command: Cancel, now_ms: int, policy: Policy) -> Decision:
    """Stops every delivery that was not handed over; what was perhaps sent ends unknown (rule 10)."""
    row = seen.row
    if row is None:
        return not_found(asked, command)
    stopped = {d.target for d in row.deliveries if d.state in LIVE and seen.mark(d.target) is Mark.FREE}
    deliveries = tuple(_stop(d) if d.target in stopped else d for d in row.deliveries)
    gone = sum(d.state is DeliveryState.CANCELLED for d in deliveries)
    result: Result = "cancelled" if gone == len(deliveries) else "partly_cancelled" if gone else "too_late"
    new = replace(row, deliveries=deliveries)
    if not stopped and gone and row.finished:
        return Decision(answer=plain_answer(command, row, result, repeated=True))
    if not stopped and gone:
        return kept_only(seen, command, remembered(asked, command, row, result, shown(seen, row)), now_ms)
    if not stopped:
        return refused(seen, asked, command, "too_late", "it was handed to the couriers or is finished", now_ms)
    note = remembered(asked, command, new, result, shown(seen, new))
    new = finished(noted(new, seen, note, now_ms, Moment(at=at(now_ms), what="cancelled")), now_ms, policy)
    events = tuple(delivery_event(new, d) for d in new.deliveries if d.target in stopped)
    return Decision(
        writes=True,
        row=new,
        events=events + final_event(new),
        dead=tuple(dead_letter(new, d, at(now_ms)) for d in new.deliveries if d.target in stopped and d.held),
        answer=answer_to(command, note),
        remember=note,
    )


def _stop(d: Delivery) -> Delivery:
    moved = transition(d.state, Stop(), maybe_sent=d.maybe_sent, attempts=d.attempts)
    return d if moved is None else replace(d, state=moved.state, reason=BY_SENDER)
