"""What stays of a message when nothing will move any more by itself."""

from msgspec.structs import replace

from schemas.decisions import Policy
from schemas.rows import Row, stubbed
from schemas.times import at


def finished(row: Row, now_ms: int, policy: Policy) -> Row:
    """A stub where all is over; whole, and longer, where a person may still act."""
    if not row.finished:
        return row
    ended = row.finished_at or at(now_ms)
    if any(d.held for d in row.deliveries):
        return replace(row, finished_at=ended, forget_at=at(now_ms + policy.held_whole_ms))
    forget_at = at(now_ms + policy.idempotency_ms)
    return replace(row, message=stubbed(row.message), stub=True, finished_at=ended, forget_at=forget_at)
