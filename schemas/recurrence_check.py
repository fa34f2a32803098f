"""What is no recurrence: faults that name the field, and what to do."""

from datetime import timedelta

from schemas.recurrence import SECOND, YEARS, Recurrence, Timing, instant_of
from schemas.recurrence_cron import checked_cron
from schemas.recurrence_rule import read_rule
from schemas.zones import zone

EVERY_MAX = timedelta(days=366 * 10)
EVERY_MIN = timedelta(seconds=1)
JITTER_MAX = timedelta(days=1)


def check_timing(timing: Timing) -> None:
    """Raises ValueError, naming the field."""
    check_recurrence(timing.recurrence)
    zone(timing.timezone)
    if not timedelta(0) <= timing.jitter <= JITTER_MAX:
        raise ValueError("`jitter` is not between 0 s and 1 day: correct it")
    for name, moment in (("start", timing.start), ("end", timing.end), ("anchor", timing.recurrence.anchor)):
        if moment is not None and moment.year not in YEARS:
            raise ValueError(f"`{name}` is not between the years 1900 and 9000: correct it")
    start, end = instant_of(timing, timing.start), instant_of(timing, timing.end)
    if start is not None and end is not None and end < start:
        raise ValueError("`end` is before `start`: nothing would ever run")


def check_recurrence(recurrence: Recurrence) -> None:
    """Raises ValueError, naming the field."""
    kinds = [name for name in ("cron", "rrule", "every") if getattr(recurrence, name) is not None]
    if len(kinds) != 1:
        raise ValueError(
            f"`recurrence` has {' and '.join(kinds) or 'none'} of cron, rrule and every: give exactly one of them"
        )
    if recurrence.cron is not None:
        checked_cron(recurrence.cron)
    _check_rule(recurrence)
    _check_every(recurrence)


def _check_rule(recurrence: Recurrence) -> None:
    if recurrence.rrule is None:
        if recurrence.dtstart is not None or recurrence.rdates or recurrence.exdates:
            raise ValueError("`recurrence` has dtstart, rdates or exdates, which go with rrule only: take them out")
        return
    if recurrence.dtstart is None:
        raise ValueError("`recurrence.dtstart` is missing: give the rule's first local time, as 2026-01-01T09:00:00")
    dates = (("dtstart", (recurrence.dtstart,)), ("rdates", recurrence.rdates), ("exdates", recurrence.exdates))
    for name, moments in dates:
        for moment in moments:
            if moment.microsecond or moment.year not in YEARS:
                raise ValueError(
                    f"`recurrence.{name}` {moment.isoformat()} is not a whole second from 1900 to 9000: correct it"
                )
    read_rule(recurrence.rrule, recurrence.dtstart)


def _check_every(recurrence: Recurrence) -> None:
    if recurrence.every is None:
        if recurrence.anchor is not None:
            raise ValueError("`recurrence.anchor` goes with every only: take it out")
        return
    if not EVERY_MIN <= recurrence.every <= EVERY_MAX or recurrence.every % SECOND:
        raise ValueError("`recurrence.every` is not whole seconds from PT1S to ten years: correct it")
    if recurrence.anchor is not None and recurrence.anchor.microsecond:
        raise ValueError("`recurrence.anchor` is not a whole second: correct it")
