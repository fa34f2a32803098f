"""GCRA and what may be set: the arithmetic stands beside the cases."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.flow_limits import (
    FlowLimits,
    Pace,
    SlotAt,
    Take,
    exhausted,
    flow_key_fault,
    free_at_us,
    gcra,
    pace_of,
    taken,
)

NOW = 1_000_000
TEN = Pace(interval_us=100_000)
"""10 a second."""


def run(pace: Pace, times: list[int], state_us: int = 0) -> list[int]:
    """The slot of each asking, ms."""
    slots = []
    for now_ms in times:
        found = gcra(state_us, now_ms, pace)
        state_us = found.state_us
        slots.append(now_ms if isinstance(found, Take) else found.at_ms)
    return slots


@pytest.mark.parametrize(
    ("pace", "times", "slots"),
    [
        # one each 100 ms: the first at once, the others at 100, 200, 300
        (TEN, [NOW] * 4, [NOW, NOW + 100, NOW + 200, NOW + 300]),
        # asked later than its slot: at once, and the next 100 ms after that
        (TEN, [NOW, NOW + 250, NOW + 260], [NOW, NOW + 250, NOW + 350]),
        # a burst of 3 at once, then one each 100 ms
        (Pace(100_000, 3), [NOW] * 5, [NOW, NOW, NOW, NOW + 100, NOW + 200]),
        # after 250 ms of rest two cells have come back, the third is there 50 ms later
        (Pace(100_000, 3), [NOW] * 3 + [NOW + 250] * 3, [NOW, NOW, NOW, NOW + 250, NOW + 250, NOW + 300]),
        # 3 a second is one each 333.333 ms: slots are rounded up to whole ms, and do not drift
        (Pace(333_333), [NOW] * 4, [NOW, NOW + 334, NOW + 667, NOW + 1_000]),
        # 5,000 a second: five in each ms
        (Pace(200), [NOW] * 7, [NOW, *[NOW + 1] * 5, NOW + 2]),
    ],
)
def test_slots_are_given_in_order_one_interval_apart(pace: Pace, times: list[int], slots: list[int]) -> None:
    assert run(pace, times) == slots


def test_an_answer_is_take_or_the_slot_with_the_state_after_it() -> None:
    assert gcra(0, NOW, TEN) == Take(NOW * 1_000 + 100_000)
    assert gcra(NOW * 1_000 + 100_000, NOW, TEN) == SlotAt(NOW + 100, NOW * 1_000 + 200_000)


def test_after_a_restart_with_the_highest_possible_state_no_burst_goes_out() -> None:
    pace = Pace(100_000, 5)
    assert run(pace, [NOW] * 2, exhausted(NOW * 1_000, pace)) == [NOW + 100, NOW + 200]


@given(
    interval_us=st.integers(10, 10_000_000),
    burst=st.integers(1, 50),
    waits=st.lists(st.integers(0, 2_000), min_size=1, max_size=60),
)
def test_in_no_window_there_are_more_than_burst_and_what_the_rate_allows(
    interval_us: int, burst: int, waits: list[int]
) -> None:
    pace, state, now, begun = Pace(interval_us, burst), 0, NOW, []
    for wait in waits:
        now += wait
        at_us = free_at_us(state, now * 1_000, pace)
        state = taken(state, at_us, pace)
        assert state <= exhausted(at_us, pace)
        begun.append(at_us)
    assert begun == sorted(begun)
    for n, first in enumerate(begun):
        for m, last in enumerate(begun[n:], 1):
            assert m <= burst + (last - first) // interval_us


def test_intervals_have_a_margin_of_one_per_cent() -> None:
    # 1 s / 10 * 1.01 = 101 ms: 100 messages in 99 * 101 ms = 10.0 s
    assert FlowLimits(rate=10).interval_us == 101_000
    assert FlowLimits(rate=1, per=timedelta(days=1)).interval_us == 87_264_000_000
    assert FlowLimits(parallelism=3).interval_us == 0


def test_a_channels_limits_are_shared_out_evenly() -> None:
    limits = FlowLimits(rate=100, burst=10)  # 10.1 ms; a quarter of it: one each 40.4 ms, two at once
    assert pace_of(limits, 4) == Pace(40_400, 2)
    assert pace_of(FlowLimits(rate=1), 4) == Pace(4_040_000, 1)
    assert pace_of(FlowLimits(paused=True), 4) is None


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"burst": 5}, "`rate` is missing: `burst` and `per` mean something beside it only"),
        ({"per": "PT1M"}, "`rate` is missing"),
        ({"rate": 5, "per": "PT0S"}, "`per` is not between 0 s and 31 days: give an ISO 8601 duration such as PT1S"),
        ({"rate": 5, "per": "P32D"}, "`per` is not between 0 s and 31 days"),
        ({"rate": 1_000, "per": "PT0.001S"}, "`rate` is more than 100000 a second: leave it out"),
        ({"rate": 0}, "Expected `int` >= 1 - at `$.rate`"),
        ({"parallelism": 0}, "Expected `int` >= 1 - at `$.parallelism`"),
        ({"rate": 5, "per": "a minute"}, "Invalid ISO8601 duration - at `$.per`"),
        ({"rte": 5}, "unknown field `rte`"),
        ({"timeout": "PT2M"}, "`timeout` is not between 1 and 60 s"),
        ({"webhook_secrets": ["whsec_abc="]}, "regex"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_the_field_and_the_remedy(limits: dict[str, object], said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.json.decode(msgspec.json.encode(limits), type=FlowLimits)
    assert said in str(refused.value)


@pytest.mark.parametrize("key", ["acme", "acme/posts", "channel:webhook", "ünï", "a b"])
def test_a_flow_may_be_named_anything_printable(key: str) -> None:
    assert flow_key_fault(key) is None


@pytest.mark.parametrize("key", ["", "a" * 201, "a\nb", "channel:"])
def test_a_key_that_names_nothing_is_refused(key: str) -> None:
    assert flow_key_fault(key)
