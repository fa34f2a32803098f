"""RRULE (RFC 5545, 3.3.10), read by dateutil; local times without a zone, the zone is the caller's."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from dateutil.rrule import rrule, rrulestr

COUNT_MAX = 10_000
"""A rule with COUNT is reckoned from its first time on, each time."""
SEARCHED_YEARS = 60
"""What does not come within so long, never comes. 29 February on a given weekday comes every 28 years, once after 40."""
STEPS = {
    "SECONDLY": timedelta(seconds=1), "MINUTELY": timedelta(minutes=1), "HOURLY": timedelta(hours=1),
    "DAILY": timedelta(days=1), "WEEKLY": timedelta(weeks=1),
}  # fmt: skip
"""Steps of even length: a rule of these may be reckoned from a later start that is a multiple of them away."""
FREQUENCIES = (*STEPS, "MONTHLY", "YEARLY")
WRITE = "write it as RFC 5545 does, for example FREQ=WEEKLY;BYDAY=MO,WE"
RANGES = {
    "BYSECOND": (0, 59), "BYMINUTE": (0, 59), "BYHOUR": (0, 23), "BYMONTHDAY": (-31, 31), "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53), "BYMONTH": (1, 12), "BYSETPOS": (-366, 366),
}  # fmt: skip
KNOWN = {*RANGES, "FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST"}


class Until(NamedTuple):
    """The last time of a rule: local, or an instant where the rule says Z."""

    last: datetime


class Rule(NamedTuple):
    """A rule less its COUNT (`most`) and UNTIL; `step`: see STEPS."""

    rule: rrule
    start: datetime
    step: timedelta | None
    most: int | None
    until: Until | None


def rule_parts(text: str) -> dict[str, str]:
    """The parts of a rule by name. Raises ValueError."""
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").rstrip(";").split(";"):
        name, sep, value = part.partition("=")
        if not sep or not value or name not in KNOWN:
            raise ValueError(f"`recurrence.rrule` has {part!r}, which is no part of a rule: {WRITE}")
        if name in parts:
            raise ValueError(f"`recurrence.rrule` has {name} twice: take one out")
        parts[name] = value
    _check(parts)
    return parts


def _check(parts: dict[str, str]) -> None:
    if parts.get("FREQ") not in FREQUENCIES:
        raise ValueError(f"`recurrence.rrule` needs a FREQ: one of {', '.join(FREQUENCIES)}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError("`recurrence.rrule` has COUNT and UNTIL, which exclude each other: take one out")
    for name, most in (("INTERVAL", 1_000_000), ("COUNT", COUNT_MAX)):
        value = parts.get(name, "1")
        if not value.isdigit() or not 1 <= int(value) <= most:
            raise ValueError(f"`recurrence.rrule` has {name}={value}: give a number from 1 to {most}")
    for name in RANGES.keys() & parts.keys():
        least, most = RANGES[name]
        for value in parts[name].split(","):
            if (
                not re.fullmatch(r"[+-]?\d{1,3}", value)
                or not least <= int(value) <= most
                or (int(value) == 0 and least < 0)
            ):
                raise ValueError(f"`recurrence.rrule` has {name}={value}: give numbers from {least} to {most}, not 0")
    if parts["FREQ"] not in ("MONTHLY", "YEARLY") and re.search(r"\d", parts.get("BYDAY", "")):
        raise ValueError("`recurrence.rrule` has a number in BYDAY, which only MONTHLY and YEARLY can: take it out")


def _until(value: str) -> Until:
    """A whole local day, a local time, or an instant."""
    found = re.fullmatch(r"(\d{8})(?:T(\d{6})(Z?))?", value)
    try:
        if found:
            day, time, utc = found.groups()
            moment = datetime.strptime(day + (time or "235959"), "%Y%m%d%H%M%S")  # noqa: DTZ007  local, or see below
            return Until(moment.replace(tzinfo=UTC) if utc else moment)
    except ValueError:
        pass
    raise ValueError(f"`recurrence.rrule` has UNTIL={value}: write 20261224, 20261224T090000 or 20261224T080000Z")


@lru_cache(maxsize=4096)
def read_rule(text: str, dtstart: datetime) -> Rule:
    """A rule, from its first local time on. Raises ValueError, naming the fault."""
    parts = rule_parts(text)
    until = _until(parts.pop("UNTIL")) if "UNTIL" in parts else None
    most = int(parts.pop("COUNT")) if "COUNT" in parts else None
    step = None if most else STEPS.get(parts["FREQ"])
    try:
        found = rrulestr(";".join(f"{name}={value}" for name, value in parts.items()), dtstart=dtstart)
    except (ValueError, TypeError) as fault:
        raise ValueError(f"`recurrence.rrule` cannot be read ({fault}): {WRITE}") from None
    assert isinstance(found, rrule)
    return Rule(found, dtstart, None if step is None else step * int(parts.get("INTERVAL", "1")), most, until)


class _Bounded(rrule):
    """A rule that gives its search up. dateutil looks for a time that never comes up to the year 9999: 3 to 9 s, measured.

    It asks for the week numbers once or some times in each year that it comes to, and at no other time.
    """

    looks_left: int

    @property
    def _byweekno(self) -> tuple[int, ...] | None:
        self.looks_left -= 1
        if self.looks_left < 0:
            raise _SearchedLongError
        weeks: tuple[int, ...] | None = self.__dict__["_byweekno"]
        return weeks


class _SearchedLongError(Exception):
    """No time was found in 60 years."""


def rule_times(rule: Rule, since: datetime) -> Iterator[datetime]:
    """Local times from `since` on, in order; ends when for 60 years there is none."""
    start = rule.start
    if rule.step is not None and since > start:
        start += (since - start) // rule.step * rule.step
    bounded = rule.rule.replace(dtstart=start)
    bounded.__class__ = _Bounded
    assert isinstance(bounded, _Bounded)
    looks = (60 if bounded.__dict__["_byweekno"] else 1) * (max(since.year - start.year, 0) + SEARCHED_YEARS)
    bounded.looks_left = looks
    moments = islice(bounded, rule.most)
    while True:
        try:
            moment = next(moments)
        except (StopIteration, _SearchedLongError):
            return
        if moment >= since:
            bounded.looks_left = looks
            yield moment
