"""What becomes of a delivery whose slot was given by limits that were raised or removed since: pure, called by decide alone."""

from msgspec.structs import replace

from schemas.decide_ack import settled
from schemas.decisions import NOTHING, Decision, Mark, Policy, Seen
from schemas.lifecycle import LIVE
from schemas.times import at, ms_of

REASON = "its slot was given up: the limits have changed"


def released(seen: Seen, target: int, now_ms: int, policy: Policy) -> Decision:
    """It is due now, and gets another slot from its courier, if it needs one. One that is on its way keeps its own."""
    row = seen.row
    if row is None or target >= len(row.deliveries):
        return NOTHING
    d = row.deliveries[target]
    if not d.slot or d.state not in LIVE or ms_of(d.due_at) <= now_ms or seen.mark(target) is not Mark.FREE:
        return NOTHING
    again = replace(d, due_at=at(now_ms), turn=d.turn + 1, turn_epoch=seen.epoch, slot="", reason=REASON)
    return settled(seen, row, again, d.turn, now_ms, policy)
