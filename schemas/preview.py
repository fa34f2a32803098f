"""A preview: what a recurrence would give, asked before or after there is a schedule of it."""

from datetime import datetime, timedelta
from itertools import islice
from typing import Annotated

from msgspec import Meta, Struct, field

from schemas.message import Input
from schemas.recurrence import YEARS, Occurrence, Recurrence, Timing, instant_of, nominal_text, occurrences
from schemas.recurrence_check import check_timing
from schemas.zones import Fold, Gap, zone

PREVIEW_MAX = 1_000
SECOND = timedelta(seconds=1)


class Preview(Input, frozen=True, kw_only=True):
    """The first `count` occurrences from `from` on. Raises ValueError, naming the field."""

    recurrence: Recurrence
    timezone: Annotated[str, Meta(max_length=100, description="IANA, as Europe/Rome")] = "UTC"
    gap: Gap = Gap.SHIFT_FORWARD
    fold: Fold = Fold.FIRST
    start: datetime | None = None
    end: datetime | None = None
    from_: Annotated[datetime, Meta(description="now, where it is left out")] | None = field(default=None, name="from")
    count: Annotated[int, Meta(ge=1, le=PREVIEW_MAX)] = 10

    def __post_init__(self) -> None:
        self.timing()
        if self.from_ is not None and self.from_.year not in YEARS:
            raise ValueError("`from` is not between the years 1900 and 9000: correct it")

    def timing(self) -> Timing:
        """Raises ValueError, naming the field."""
        names = ("recurrence", "timezone", "gap", "fold", "start", "end")
        timing = Timing(**{name: getattr(self, name) for name in names})
        check_timing(timing)
        return timing


class Previewed(Struct, frozen=True, kw_only=True):
    """UTC instants; local times of the zone beside them. `ends`: there are no more."""

    occurrences: list[str]
    local: list[str]
    ends: bool


def local_text(timing: Timing, nominal: datetime) -> str:
    """The instant as the clocks of the zone show it: `2026-11-24T03:00:00+01:00`."""
    return nominal.astimezone(zone(timing.timezone)).isoformat()


def previewed(timing: Timing, schedule_id: str, since: datetime, count: int) -> list[Occurrence]:
    """At most `count` occurrences, `since` included."""
    return list(islice(occurrences(timing, schedule_id, since - timedelta(microseconds=1)), count))


def preview(asked: Preview, now: datetime) -> Previewed:
    """Raises ValueError, naming the field."""
    timing = asked.timing()
    since = instant_of(timing, asked.from_) or now
    found = previewed(timing, "", since, asked.count + 1)
    return Previewed(
        occurrences=[nominal_text(o.nominal) for o in found[: asked.count]],
        local=[local_text(timing, o.nominal) for o in found[: asked.count]],
        ends=len(found) <= asked.count,
    )
