"""Instants: milliseconds and datetimes."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.times import at, ms_of, rfc3339

NINE = datetime(2026, 11, 23, 9, 0, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("microseconds", "ms"),
    [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2)],
)
def test_what_is_due_within_a_millisecond_is_due_at_its_end(microseconds, ms):
    eight = 1_795_420_800_000  # 2026-11-23T08:00:00Z
    assert ms_of(NINE + timedelta(microseconds=microseconds)) == eight + ms


@given(st.integers(-(10**12), 250_000_000_000_000))
def test_milliseconds_come_back(ms):
    assert ms_of(at(ms)) == ms
    assert ms_of(datetime.fromisoformat(rfc3339(ms))) == ms


@given(st.datetimes(timezones=st.just(UTC)))
def test_no_moment_is_told_as_an_earlier_one(moment):
    late = timedelta(milliseconds=ms_of(moment)) - (moment - datetime(1970, 1, 1, tzinfo=UTC))
    assert timedelta(0) <= late < timedelta(milliseconds=1)


def test_rfc3339_has_milliseconds_always():
    assert rfc3339(1_795_420_800_000) == "2026-11-23T08:00:00.000Z"
