"""Cron: five fields, read by cronsim; local times without a zone, the zone is the caller's."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from cronsim import CronSim, CronSimError

ALIASES = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
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


def cron_times(text: str, since: datetime) -> Iterator[datetime]:
    """Local times from `since` on; ends when for 50 years there is none."""
    minute = since.replace(second=0, microsecond=0)
    start = minute - timedelta(minutes=1) if minute == since else minute
    return iter(CronSim(ALIASES.get(text.strip().lower(), text), start))
