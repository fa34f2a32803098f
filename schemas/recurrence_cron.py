"""Cron: five fields, read by cronsim; local times without a zone, the zone is the caller's."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from cronsim import CronSim, CronSimError

ALIASES = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
DAY, LONGEST_MONTH = timedelta(days=1), timedelta(days=31)
SEARCHED_YEARS = 50
ANY_DAY = datetime(2024, 1, 1)  # noqa: DTZ001  local


def checked_cron(text: str) -> None:
    """Raises ValueError for what is no cron expression, or names only days that never come, as 30 February."""
    expression = ALIASES.get(text.strip().lower(), text)
    if len(expression.split()) != 5:
        raise ValueError(
            f"`recurrence.cron` {text!r} does not have five fields: "
            "write minute hour day-of-month month day-of-week, as in '0 2 * * *', or @daily"
        )
    try:
        CronSim(expression, ANY_DAY)
    except CronSimError as fault:
        field = str(fault).removeprefix("Bad ")
        raise ValueError(
            f"`recurrence.cron` {text!r} has a {field} that cannot be, or never comes: "
            "fields are numbers, names, *, lists, ranges and steps; L, LW are days of a month, 5L or FRI#2 of a week"
        ) from None


class Cron(NamedTuple):
    """An expression as cronsim read it: its days by `fields`, the times of each of them."""

    fields: CronSim
    hours: tuple[int, ...]
    minutes: tuple[int, ...]


@lru_cache(maxsize=4096)
def _read(text: str) -> Cron:
    fields = CronSim(ALIASES.get(text.strip().lower(), text), ANY_DAY)
    return Cron(fields, tuple(sorted(fields.hours)), tuple(sorted(fields.minutes)))


def cron_times(text: str, since: datetime) -> Iterator[datetime]:
    """Local times from `since` on; ends when for 50 years there is none.

    Day by day: cronsim's own iterator goes by the hour and the minute, and is made anew for each schedule's next run.
    """
    cron, day, last_year = _read(text), since.date(), since.year + SEARCHED_YEARS
    while day.year <= last_year:
        if day.month not in cron.fields.months:
            day = (day.replace(day=1) + LONGEST_MONTH).replace(day=1)
            continue
        if cron.fields.match_day(day):
            for moment in _times_of(cron, day):
                if moment >= since:
                    yield moment
            last_year = day.year + SEARCHED_YEARS
        day += DAY


def _times_of(cron: Cron, day: date) -> Iterator[datetime]:
    for hour in cron.hours:
        for minute in cron.minutes:
            yield datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001  local
