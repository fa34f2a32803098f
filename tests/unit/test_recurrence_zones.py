"""Cron where the clocks change, computed against a second implementation: whenever for the zones, plain loops for the fields."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile
from typing import NamedTuple

import pytest
from whenever import Instant, PlainDateTime

from schemas.recurrence import Recurrence, Timing, nominals
from schemas.zones import Fold, Gap, instants, zone


class Change(NamedTuple):
    """A day on which the clocks of a zone change."""

    zone: str
    day: str
    what: str


CHANGES = (
    Change("Europe/Rome", "2026-03-29", "forward at 2:00"),
    Change("Europe/Rome", "2026-10-25", "back at 3:00"),
    Change("America/New_York", "2026-03-08", "forward at 2:00"),
    Change("America/New_York", "2026-11-01", "back at 2:00"),
    Change("Australia/Lord_Howe", "2026-10-04", "half an hour forward at 2:00"),
    Change("Australia/Lord_Howe", "2026-04-05", "half an hour back at 2:00"),
    Change("America/Sao_Paulo", "2018-11-04", "forward at midnight, by its old rules"),
    Change("America/Sao_Paulo", "2018-02-18", "back at midnight, by its old rules"),
    Change("Pacific/Apia", "2011-12-30", "the day that was not"),
    Change("Africa/Casablanca", "2026-02-15", "back for Ramadan"),
    Change("Africa/Casablanca", "2026-03-22", "forward after it"),
    Change("Asia/Kolkata", "2026-03-29", "no change"),
)
CRONS = ("*/10 * * * *", "30 2 * * *", "15,45 0-3 * * *", "0 0 * * *")


@cache
def meant(local: datetime, where: str) -> tuple[bool, datetime, datetime]:
    """By whenever: in a gap `earlier` goes back by its length, `later` forward; in a fold they are the first and second."""
    plain = PlainDateTime(local.year, local.month, local.day, local.hour, local.minute)
    early, late = (plain.assume_tz(where, disambiguation=how) for how in ("earlier", "later"))
    return (
        early.to_plain() == plain,
        datetime.fromtimestamp(early.timestamp(), UTC),
        datetime.fromtimestamp(late.timestamp(), UTC),
    )


def resolved(local: datetime, where: str, gap: Gap, fold: Fold) -> set[datetime]:
    exists, early, late = meant(local, where)
    if exists:
        return {Fold.FIRST: {early}, Fold.SECOND: {late}, Fold.BOTH: {early, late}}[fold]
    return {Gap.SKIP: set(), Gap.SHIFT_BACK: {early}, Gap.SHIFT_FORWARD: {late}}[gap]


def matches(cron: str, local: datetime) -> bool:
    minute, hour, *_ = cron.split()
    return _field(minute, local.minute) and _field(hour, local.hour)


def _field(field: str, value: int) -> bool:
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        low, high = (0, 59) if span == "*" else (int(first), int(last or first))
        if low <= value <= high and (value - low) % int(step or 1) == 0:
            return True
    return False


def by_hand(cron: str, where: str, gap: Gap, fold: Fold, begin: datetime, end: datetime) -> list[datetime]:
    found: set[datetime] = set()
    local = begin.replace(tzinfo=None) - timedelta(hours=27)
    while local < end.replace(tzinfo=None) + timedelta(hours=27):
        if matches(cron, local):
            found |= resolved(local, where, gap, fold)
        local += timedelta(minutes=1)
    return sorted(m for m in found if begin < m <= end)


@pytest.mark.parametrize("cron", CRONS)
@pytest.mark.parametrize("change", CHANGES, ids=lambda c: f"{c.zone}, {c.what}")
def test_cron_is_right_where_the_clocks_change(change, cron):
    noon = datetime.fromisoformat(f"{change.day}T12:00:00+00:00")
    begin, end = noon - timedelta(days=1), noon + timedelta(days=1)
    for gap in Gap:
        for fold in Fold:
            timing = Timing(recurrence=Recurrence(cron=cron), timezone=change.zone, gap=gap, fold=fold)
            found = list(takewhile(lambda m: m <= end, nominals(timing, begin)))
            assert found == by_hand(cron, change.zone, gap, fold, begin, end), (gap, fold)


CASES = [
    ("Europe/Rome", "2026-03-29T02:30", Gap.SKIP, Fold.FIRST, []),
    ("Europe/Rome", "2026-03-29T02:30", Gap.SHIFT_FORWARD, Fold.FIRST, ["2026-03-29T01:30"]),  # 3:30 summer time
    ("Europe/Rome", "2026-03-29T02:30", Gap.SHIFT_BACK, Fold.FIRST, ["2026-03-29T00:30"]),  # 1:30 winter time
    ("Europe/Rome", "2026-10-25T02:30", Gap.SKIP, Fold.FIRST, ["2026-10-25T00:30"]),
    ("Europe/Rome", "2026-10-25T02:30", Gap.SKIP, Fold.SECOND, ["2026-10-25T01:30"]),
    ("Europe/Rome", "2026-10-25T02:30", Gap.SKIP, Fold.BOTH, ["2026-10-25T00:30", "2026-10-25T01:30"]),
    ("Australia/Lord_Howe", "2026-10-04T02:15", Gap.SHIFT_FORWARD, Fold.FIRST, ["2026-10-03T15:45"]),  # 2:45, +11:00
    ("Australia/Lord_Howe", "2026-10-04T02:15", Gap.SHIFT_BACK, Fold.FIRST, ["2026-10-03T15:15"]),  # 1:45, +10:30
    ("America/Sao_Paulo", "2018-11-04T00:00", Gap.SHIFT_FORWARD, Fold.FIRST, ["2018-11-04T03:00"]),  # 1:00, -02:00
    ("America/Sao_Paulo", "2019-11-03T00:00", Gap.SKIP, Fold.FIRST, ["2019-11-03T03:00"]),  # no summer time any more
    ("Pacific/Apia", "2011-12-30T09:00", Gap.SKIP, Fold.FIRST, []),
    ("Pacific/Apia", "2011-12-30T09:00", Gap.SHIFT_FORWARD, Fold.FIRST, ["2011-12-30T19:00"]),  # the 31st, +14:00
    ("Pacific/Apia", "2011-12-30T09:00", Gap.SHIFT_BACK, Fold.FIRST, ["2011-12-29T19:00"]),  # the 29th, -10:00
]


@pytest.mark.parametrize(("where", "local", "gap", "fold", "wanted"), CASES)
def test_a_local_time_comes_to_its_instants(where, local, gap, fold, wanted):
    found = instants(datetime.fromisoformat(local), zone(where), gap, fold)
    assert [m.strftime("%Y-%m-%dT%H:%M") for m in found] == wanted


def test_the_rules_of_zones_are_those_of_the_pinned_package():
    """Not the machine's: `whenever` reads those."""
    moment = Instant.from_utc(2026, 7, 1, 12).to_tz("Europe/Rome")
    assert zone("Europe/Rome").utcoffset(datetime(2026, 7, 1, 14)) == timedelta(hours=2)
    assert moment.hour == 14


@pytest.mark.parametrize(
    "name", ["", "Rome", "Europe/Roma", "../etc/passwd", "/etc/localtime", "Europe/", "__init__.py", "CET "]
)
def test_what_is_no_zone_is_refused_by_name(name):
    with pytest.raises(ValueError, match=r"`timezone`"):
        zone(name)
