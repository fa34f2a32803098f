"""Due minutes: exact counts of what is in each, how late it went out, and where a window is in its life."""

from bisect import bisect_left
from collections.abc import Iterable
from enum import StrEnum

from schemas.lifecycle import LIVE, DeliveryState
from schemas.placed import Placed
from schemas.rows import Row
from schemas.times import MINUTE_MS, ms_of

COUNTED = tuple(s for s in DeliveryState if s is not DeliveryState.EMITTED)
"""In the order in which counts are stored. Emitted ones are scheduled or retrying in the timetable."""
PLACE: dict[DeliveryState, int] = {state: n for n, state in enumerate(COUNTED)}
LIVE_PLACES = (PLACE[DeliveryState.SCHEDULED], PLACE[DeliveryState.RETRYING])

LATENESS_MS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 7_200_000)
"""Upper bounds of the lateness histogram; one more bucket holds what is later than the last."""
LATENESS_PLACE = len(COUNTED)
"""The histogram follows the states: one vector, one write, one sum."""

Counts = tuple[int, ...]
"""One number for each of COUNTED, then one for each bucket of lateness."""
NOTHING: Counts = (0,) * (len(COUNTED) + len(LATENESS_MS) + 1)


class WindowLife(StrEnum):
    """Where a due minute is in its life."""

    OPEN = "open"  # accepts messages; its rows are on disk
    ARMED = "armed"  # within the look-ahead: its rows are in memory
    EMITTING = "emitting"  # its minute has begun, some of its messages are not finished
    CLOSED = "closed"  # every message of it is finished


def minute_of(row: Row | Placed) -> int:
    """The window of a row, as its first Unix millisecond: the minute of `due_at`; retries do not move it."""
    return ms_of(row.message.due_at) // MINUTE_MS * MINUTE_MS


def count_changes(old: Row | Placed | None, new: Row | Placed | None) -> list[tuple[int, int, int]]:
    """(minute, place in Counts, +1 or -1) for each delivery that enters or moves; a forgotten one stays counted.

    A live one that goes is forgotten as if it had never been: its schedule took it back.
    """
    gone = [] if old is None else _counted(old, -1, live_only=new is None)
    return gone if new is None else gone + _counted(new, 1)


def _counted(row: Row | Placed, by: int, *, live_only: bool = False) -> list[tuple[int, int, int]]:
    minute = minute_of(row)
    deliveries = [d for d in row.deliveries if d.state in LIVE] if live_only else row.deliveries
    found = [(minute, PLACE[d.state], by) for d in deliveries]
    found += [(minute, lateness_place(d.late_ms), by) for d in deliveries if d.late_ms is not None]
    return found


def lateness_place(late_ms: int) -> int:
    """Where a first attempt so late is counted."""
    return LATENESS_PLACE + bisect_left(LATENESS_MS, late_ms)


def quantile_ms(counts: Counts, q: float) -> int | None:
    """The lateness that a share `q` of first attempts did not exceed: the bound of its bucket; None before the first.

    What is later than the last bound is given as that bound.
    """
    buckets = counts[LATENESS_PLACE:]
    wanted = q * sum(buckets)
    if not wanted:
        return None
    seen = 0
    for bound, count in zip((*LATENESS_MS, LATENESS_MS[-1]), buckets, strict=True):
        seen += count
        if seen >= wanted:
            return bound
    return LATENESS_MS[-1]


def summed(parts: Iterable[Counts]) -> Counts:
    """Counts of one window in several partitions, as one."""
    return tuple(map(sum, zip(NOTHING, *parts, strict=True)))


def added(counts: Counts, place: int, by: int) -> Counts:
    """The counts with one number changed."""
    return (*counts[:place], counts[place] + by, *counts[place + 1 :])


def life(minute_ms: int, counts: Counts, now_ms: int, look_ahead_ms: int) -> WindowLife:
    """Where a window is in its life."""
    if now_ms < minute_ms - look_ahead_ms:
        return WindowLife.OPEN
    if now_ms < minute_ms:
        return WindowLife.ARMED
    return (
        WindowLife.EMITTING
        if any(counts[p] for p in LIVE_PLACES) or now_ms < minute_ms + MINUTE_MS
        else WindowLife.CLOSED
    )
