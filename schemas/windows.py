"""Due minutes: exact counts of what is in each, and where a window is in its life."""

from collections.abc import Iterable
from enum import StrEnum

from schemas.lifecycle import DeliveryState
from schemas.rows import Row
from schemas.times import MINUTE_MS, ms_of

COUNTED = tuple(s for s in DeliveryState if s is not DeliveryState.EMITTED)
"""In the order in which counts are stored. Emitted ones are scheduled or retrying in the timetable."""
PLACE: dict[DeliveryState, int] = {state: n for n, state in enumerate(COUNTED)}
LIVE_PLACES = (PLACE[DeliveryState.SCHEDULED], PLACE[DeliveryState.RETRYING])

Counts = tuple[int, ...]
"""One number for each of COUNTED."""
NOTHING: Counts = (0,) * len(COUNTED)


class WindowLife(StrEnum):
    """Where a due minute is in its life."""

    OPEN = "open"  # accepts messages; its rows are on disk
    ARMED = "armed"  # within the look-ahead: its rows are in memory
    EMITTING = "emitting"  # its minute has begun, some of its messages are not finished
    CLOSED = "closed"  # every message of it is finished


def minute_of(row: Row) -> int:
    """The window of a row, as its first Unix millisecond: the minute of `due_at`; retries do not move it."""
    return ms_of(row.message.due_at) // MINUTE_MS * MINUTE_MS


def count_changes(old: Row | None, new: Row | None) -> Iterable[tuple[int, int, int]]:
    """(minute, place in COUNTED, +1 or -1) for each delivery that enters or moves; a forgotten one stays counted."""
    if new is None:
        return
    if old is not None:
        minute = minute_of(old)
        for d in old.deliveries:
            yield minute, PLACE[d.state], -1
    minute = minute_of(new)
    for d in new.deliveries:
        yield minute, PLACE[d.state], 1


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
