"""What holds of every recurrence, and what is refused."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import msgspec
import pytest
from croniter import croniter
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from schemas.recurrence import Recurrence, Timing, nominal_text, nominals, occurrence_id, occurrences
from schemas.recurrence_check import check_recurrence
from schemas.recurrence_cron import cron_times
from schemas.zones import Fold, Gap

ZONES = ("Europe/Rome", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia", "UTC")
START = datetime(2026, 3, 1, tzinfo=UTC)
crons = st.sampled_from(
    (
        "0 2 * * *",
        "30 2 * * *",
        "*/20 * * * *",
        "0 9 L * *",
        "0 9 LW * *",
        "15 1-3 * * SUN",
        "0 0 29 2 *",
        "7 4 1,15 * *",
    )
)
rules = st.sampled_from(
    (
        "FREQ=DAILY", "FREQ=HOURLY;INTERVAL=5", "FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=WEEKLY;BYDAY=MO,FR;INTERVAL=2",
        "FREQ=MINUTELY;INTERVAL=37", "FREQ=YEARLY;BYDAY=20MO", "FREQ=DAILY;COUNT=400", "FREQ=SECONDLY;INTERVAL=5000",
        "FREQ=DAILY;UNTIL=20261224", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    )
)  # fmt: skip
recurrences = st.one_of(
    st.builds(Recurrence, cron=crons),
    st.builds(Recurrence, rrule=rules, dtstart=st.just(datetime(2025, 11, 2, 1, 30))),
    st.builds(Recurrence, every=st.integers(1, 90_000).map(lambda s: timedelta(seconds=s))),
)
timings = st.builds(
    Timing,
    recurrence=recurrences,
    timezone=st.sampled_from(ZONES),
    gap=st.sampled_from(Gap),
    fold=st.sampled_from(Fold),
    jitter=st.sampled_from((timedelta(0), timedelta(minutes=7))),
)
moments = st.integers(0, 2 * 366 * 86_400).map(lambda s: START + timedelta(seconds=s))


@given(timings, moments)
def test_the_next_is_always_strictly_later(timing, after):
    found = list(islice(nominals(timing, after), 20))
    assert all(a < b for a, b in zip([after, *found], found, strict=False))


@given(timings, moments, st.integers(1, 20))
def test_wherever_the_cursor_stops_the_same_occurrences_come(timing, after, stop):
    whole = list(islice(nominals(timing, after), 30))
    first = list(islice(nominals(timing, after), stop))
    rest = list(islice(nominals(timing, first[-1] if first else after), 30 - len(first)))
    assert first + rest == whole


@given(timings, moments, st.integers(0, 400_000))
def test_a_cursor_between_two_occurrences_changes_nothing(timing, after, later_s):
    between = after + timedelta(seconds=later_s)
    wanted = [
        m
        for m in takewhile(lambda m: m <= between + timedelta(days=3), islice(nominals(timing, after), 3_000))
        if m > between
    ][:5]
    if len(wanted) == 5:
        assert list(islice(nominals(timing, between), 5)) == wanted


@given(timings, moments)
def test_jitter_is_within_its_bound_and_the_same_each_time(timing, after):
    once, again = (list(islice(occurrences(timing, "s", after), 5)) for _ in range(2))
    assert once == again
    assert all(o.nominal <= o.due <= o.nominal + timing.jitter for o in once)


@given(
    st.sampled_from(
        ("*/7 * * * *", "3 4 * * *", "0 0 31 * *", "5 1,13 1-7 * *", "0 12 * FEB,MAR MON-FRI", "0 9 L * *")
    ),
    moments,
)
def test_cron_times_are_those_of_another_reader(text, after):
    since = after.replace(tzinfo=None, second=0)
    other = croniter(text, since - timedelta(minutes=1), ret_type=datetime)
    assert list(islice(cron_times(text, since), 12)) == [next(other) for _ in range(12)]


@given(crons, moments, st.integers(0, 59))
def test_cron_times_are_those_of_cronsim_itself(text, after, second):
    since = after.replace(tzinfo=None, second=second)
    itself = CronSim(text, since - timedelta(seconds=1))
    assert list(islice(cron_times(text, since), 12)) == list(islice(itself, 12))


def test_count_is_counted_over_the_cursor():
    timing = Timing(recurrence=Recurrence(every=timedelta(hours=1)), count=5, start=START)
    whole = list(occurrences(timing, "s", START - timedelta(days=3)))
    assert len(whole) == 5
    assert list(occurrences(timing, "s", whole[1].nominal, counted=2)) == whole[2:]


def test_start_and_end_are_included():
    timing = Timing(recurrence=Recurrence(every=timedelta(hours=1)), start=START, end=START + timedelta(hours=2))
    assert [o.nominal.hour for o in occurrences(timing, "s", START - timedelta(days=9))] == [0, 1, 2]


def test_an_anchor_shifts_the_intervals():
    timing = Timing(recurrence=Recurrence(every=timedelta(hours=1), anchor=datetime(2030, 1, 1, 0, 20, tzinfo=UTC)))
    assert [m.strftime("%H:%M") for m in islice(nominals(timing, START), 2)] == ["00:20", "01:20"]


def test_an_occurrence_is_named_by_its_instant():
    assert occurrence_id("nightly", datetime(2026, 11, 24, 2, tzinfo=UTC)) == "nightly@2026-11-24T02:00:00Z"
    assert nominal_text(START) == "2026-03-01T00:00:00Z"


@pytest.mark.parametrize("day", [28, 29, 30, 31])
def test_a_day_that_a_month_does_not_have_is_left_out(day):
    timing = Timing(recurrence=Recurrence(cron=f"0 0 {day} * *"))
    assert {m.day for m in islice(nominals(timing, START), 24)} == {day}


def test_29_february_comes_in_leap_years_even_over_a_century_without_one():
    timing = Timing(recurrence=Recurrence(cron="0 0 29 2 *"))
    assert [m.year for m in islice(nominals(timing, datetime(2095, 1, 1, tzinfo=UTC)), 2)] == [2096, 2104]


BAD = [
    ({}, "recurrence` has none of"),
    ({"cron": "0 2 * * *", "every": "PT1H"}, "cron and every"),
    ({"cron": "0 2 30 2 *"}, "recurrence.cron.*day-of-month.*never comes"),
    ({"cron": "0 2 31 4,6 *"}, "recurrence.cron.*day-of-month"),
    ({"cron": "61 * * * *"}, "recurrence.cron.*minute"),
    ({"cron": "0 24 * * *"}, "recurrence.cron.*hour"),
    ({"cron": "* * * *"}, "five fields"),
    ({"cron": "0 0 2 * * *"}, "five fields"),
    ({"cron": "@reboot"}, "five fields"),
    ({"rrule": "FREQ=DAILY"}, "recurrence.dtstart"),
    ({"rrule": "FREQ=DAILY", "dtstart": "2026-01-01T00:00:00Z"}, "timezone"),
    ({"rrule": "FREQ=OFTEN", "dtstart": "2026-01-01T00:00:00"}, "needs a FREQ"),
    ({"rrule": "FREQ=DAILY;INTERVAL=0", "dtstart": "2026-01-01T00:00:00"}, "INTERVAL=0"),
    ({"rrule": "FREQ=DAILY;COUNT=3;UNTIL=20270101", "dtstart": "2026-01-01T00:00:00"}, "exclude"),
    ({"rrule": "FREQ=DAILY;UNTIL=tomorrow", "dtstart": "2026-01-01T00:00:00"}, "UNTIL"),
    ({"rrule": "FREQ=DAILY;BYHOUR=25", "dtstart": "2026-01-01T00:00:00"}, "BYHOUR=25"),
    ({"rrule": "FREQ=DAILY;BYMONTHDAY=0", "dtstart": "2026-01-01T00:00:00"}, "BYMONTHDAY=0"),
    ({"rrule": "FREQ=WEEKLY;BYDAY=XX", "dtstart": "2026-01-01T00:00:00"}, "recurrence.rrule"),
    ({"rrule": "FREQ=DAILY;BYDAY=1MO", "dtstart": "2026-01-01T00:00:00"}, "BYDAY"),
    ({"rrule": "FREQ=DAILY;BYEASTER=0", "dtstart": "2026-01-01T00:00:00"}, "BYEASTER"),
    ({"rrule": "FREQ=DAILY\nDTSTART:20200101", "dtstart": "2026-01-01T00:00:00"}, "recurrence.rrule"),
    ({"every": "PT0S"}, "recurrence.every"),
    ({"every": "PT0.5S"}, "recurrence.every"),
    ({"every": "PT1H", "dtstart": "2026-01-01T00:00:00"}, "rrule only"),
    ({"cron": "0 2 * * *", "anchor": "2026-01-01T00:00:00Z"}, "every only"),
]  # fmt: skip


@pytest.mark.parametrize(("given_", "said"), BAD)
def test_what_cannot_be_is_refused_by_name(given_, said):
    with pytest.raises(ValueError, match=said):
        check_recurrence(msgspec.convert(given_, Recurrence))


@pytest.mark.parametrize("freq", ["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"])
def test_a_rule_that_never_comes_ends_soon(freq):
    rule = Recurrence(rrule=f"FREQ={freq};BYMONTH=2;BYMONTHDAY=30", dtstart=datetime(1990, 1, 1))
    assert list(nominals(Timing(recurrence=rule), START)) == []
