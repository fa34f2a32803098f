"""Instants: whole Unix milliseconds in rules, UTC datetimes (RFC 3339 on the wire) in records."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

MINUTE_MS = 60_000
CLOCK_SKEW_MS = 1_000
"""The clocks of any two machines may differ by so much (rule 2, `horizon`)."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
DAY = timedelta(days=1)


@lru_cache(maxsize=64)
def at(ms: int) -> datetime:
    """The UTC datetime of a Unix time in milliseconds; that of a few instants is asked over and over."""
    return EPOCH + ms * MILLISECOND


def ms_of(moment: datetime) -> int:
    """Unix milliseconds of an aware datetime, rounded up: what is due within a millisecond is due at its end."""
    return -((EPOCH - moment) // MILLISECOND)


def rfc3339(ms: int) -> str:
    """`2026-11-23T08:00:00.000Z`."""
    return at(ms).isoformat(timespec="milliseconds")[:-6] + "Z"
