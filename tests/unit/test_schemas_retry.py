"""Delays between attempts: exact, apart from the jitter, which is another function."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.retry import HOUR_MS, STANDARD_WEBHOOKS_MS, Again, NoMore, jittered, next_delay

DELAYS = (5_000, 300_000)


@pytest.mark.parametrize(
    ("attempts", "asked_ms", "expected"),
    [
        (1, None, Again(5_000)),
        (2, None, Again(300_000)),
        (3, None, NoMore()),  # two delays: three attempts in all
        (1, 4_999, Again(5_000)),  # Retry-After can only lengthen
        (1, 5_001, Again(5_001)),
        (1, 0, Again(5_000)),
        (3, 9_999_999, NoMore()),  # and gives no attempt more
    ],
)
def test_the_delay_after_the_nth_attempt(attempts, asked_ms, expected):
    assert next_delay(DELAYS, attempts, asked_ms) == expected


def test_without_delays_there_is_one_attempt():
    assert next_delay((), 1, None) == NoMore()


def test_the_standard_schedule_takes_75_6_hours():
    # 5 s + 5 min + 30 min = 0.585 h; 2 + 5 + 10 + 14 + 20 + 24 = 75 h
    assert round(sum(STANDARD_WEBHOOKS_MS) / HOUR_MS, 1) == 75.6
    assert len(STANDARD_WEBHOOKS_MS) == 9


@given(st.integers(0, 10**9), st.text())
def test_jitter_lengthens_by_a_tenth_at_most_and_is_the_same_for_the_same_seed(delay_ms, seed):
    assert delay_ms <= jittered(delay_ms, seed) <= delay_ms + delay_ms // 10
    assert jittered(delay_ms, seed) == jittered(delay_ms, seed)


def test_jitter_spreads_a_herd():
    drawn = {jittered(100_000, f"m-{n}/0!1") for n in range(1_000)}
    assert len(drawn) > 900
    assert 104_500 < sum(drawn) / len(drawn) < 105_500  # evenly over 100,000 to 110,000
