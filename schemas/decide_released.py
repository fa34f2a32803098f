"""What becomes of a delivery that waits for nothing any more: pure, called by decide alone."""

from msgspec.structs import replace

from schemas.decide_ack import settled
from schemas.decisions import NOTHING, Decision, Mark, Policy, Released, Seen
from schemas.lifecycle import LIVE
from schemas.rows import Delivery
from schemas.times import at, ms_of

CHANGED = "its slot was given up: the limits have changed"
RESUMED = "its pause is over"


def released(seen: Seen, given: Released, now_ms: int, policy: Policy) -> Decision:
    """It is due now: a slot of old limits is given up, and a pause does not count as lateness.

    One that is on its way, or perhaps is, keeps its turn.
    """
    row = seen.row
    if row is None or given.target >= len(row.deliveries):
        return NOTHING
    d = row.deliveries[given.target]
    if d.state not in LIVE or seen.mark(d.target) is not Mark.FREE or not _waits(d, given, now_ms):
        return NOTHING
    reason = RESUMED if given.resumed else CHANGED
    again = replace(d, due_at=at(now_ms), turn=d.turn + 1, turn_epoch=seen.epoch, slot="", reason=reason)
    return settled(seen, row, again, d.turn, now_ms, policy)


def _waits(d: Delivery, given: Released, now_ms: int) -> bool:
    """Held back by a pause it is due; put off to a slot it is not yet."""
    is_due = ms_of(d.due_at) <= now_ms
    return is_due if given.resumed else d.slot != "" and not is_due
