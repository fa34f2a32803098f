"""Time zones by the pinned rules of the package tzdata, and the local times that a change of the clocks skips or repeats."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from zoneinfo import ZoneInfo

ZONE_RULES = version("tzdata")
"""The release of the IANA rules that this process reckons with."""
AROUND = timedelta(hours=26)
"""No two offsets of one zone differ by more (Pacific/Apia lost a whole day)."""


class Gap(StrEnum):
    """What becomes of a local time that does not exist, because the clocks go forward over it."""

    SKIP = "skip"  # it does not happen
    SHIFT_FORWARD = "shift_forward"  # as much later as the gap is long (RFC 5545, 3.3.5)
    SHIFT_BACK = "shift_back"  # as much earlier as the gap is long


class Fold(StrEnum):
    """What becomes of a local time that comes twice, because the clocks go back."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """An IANA zone by the pinned rules, whatever the machine's own are. Raises ValueError for a name that is none."""
    parts = name.split("/")
    if not name or any(not part or not part[0].isalnum() for part in parts):
        raise ValueError(_no_zone(name))
    try:
        with files("tzdata").joinpath("zoneinfo", *parts).open("rb") as rules:
            return ZoneInfo.from_file(rules, key=name)
    except (OSError, ValueError):
        raise ValueError(_no_zone(name)) from None


def _no_zone(name: str) -> str:
    return f"`timezone` {name!r} is no IANA time zone: write one as Europe/Rome, America/New_York or UTC"


@lru_cache(maxsize=4096)
def instants(local: datetime, where: ZoneInfo, gap: Gap, fold: Fold) -> tuple[datetime, ...]:
    """The UTC instants of a naive local time: none in a skipped gap, two in a fold that counts twice, else one."""
    before, after = (local.replace(tzinfo=where, fold=n).astimezone(UTC) for n in (0, 1))
    if before == after:
        return (before,)
    if before > after:  # PEP 495: in a gap, fold 0 reckons with the offset before it, fold 1 with the one after
        return {Gap.SKIP: (), Gap.SHIFT_FORWARD: (before,), Gap.SHIFT_BACK: (after,)}[gap]
    return {Fold.FIRST: (before,), Fold.SECOND: (after,), Fold.BOTH: (before, after)}[fold]


@lru_cache(maxsize=4096)
def offsets(moment: datetime, where: ZoneInfo) -> tuple[timedelta, timedelta]:
    """The least and the greatest offset of a zone around an instant; equal where no change is near."""
    near = [(moment + by).astimezone(where).utcoffset() or timedelta(0) for by in (-AROUND, timedelta(0), AROUND)]
    return min(near), max(near)
