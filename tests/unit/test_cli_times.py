"""Times on the command line."""

from datetime import timedelta

import pytest

from gateway.errors import UserError
from gateway.when import after, distance, moment, span

HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1h30m", 5_400), ("2d", 172_800), ("250ms", 0.25), ("1.5h", 5_400), ("PT5M", 300), ("pt5m", 300)],
)
def test_lengths_of_time(text: str, seconds: float):
    assert span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "5x", "-5s", "s", "5s!", "-PT5M"])
def test_what_is_no_length_of_time_is_told(text: str):
    with pytest.raises(UserError, match="--in"):
        span(text)


def test_after_is_counted_from_now():
    assert after("1h", 0) == "1970-01-01T01:00:00.000Z"
    with pytest.raises(UserError, match="9999"):
        after("9999999d", 0)


def test_a_time_needs_an_offset():
    assert moment("2026-11-24T08:00:00+01:00") == "2026-11-24T08:00:00+01:00"
    assert moment("2026-11-24T08:00:00Z") == "2026-11-24T08:00:00+00:00"
    with pytest.raises(UserError, match="no offset: add one, as in 2026-11-24T08:00:00Z"):
        moment("2026-11-24T08:00:00")
    with pytest.raises(UserError, match="no time"):
        moment("tomorrow")


@pytest.mark.parametrize(
    ("when_ms", "text"),
    [(30_000, "in 30 s"), (-300_000, "5 min ago"), (3 * HOUR_MS, "in 3 h"), (72 * HOUR_MS, "in 3 days")],
)
def test_distances_are_told_in_words(when_ms: int, text: str):
    assert distance("1970-01-01T00:00:00Z", -when_ms) == text
