"""How often a key may ask: exact at the edge, told in the headers, one key beside another."""

import pytest

from gateway.problems import ProblemError
from gateway.rates import Rates

NOW_US = 1_790_000_000_000_000


def test_a_burst_of_two_seconds_worth_passes_at_once_and_then_one_per_interval():
    rates = Rates(100)
    left = [rates.take("k", NOW_US).remaining for _ in range(200)]
    assert left == list(range(199, -1, -1))
    with pytest.raises(ProblemError, match=r"in 0\.010 s"):
        rates.take("k", NOW_US)
    assert rates.take("k", NOW_US + 10_000).remaining == 0
    with pytest.raises(ProblemError):
        rates.take("k", NOW_US + 19_999)


def test_a_refusal_says_when_to_come_again_and_takes_nothing():
    rates = Rates(1)
    for _ in range(2):
        rates.take("k", NOW_US)
    for _ in range(10):
        with pytest.raises(ProblemError) as refused:
            rates.take("k", NOW_US)
    assert refused.value.headers == {
        "Retry-After": "1", "ratelimit-policy": '"key";q=2;w=2', "ratelimit": '"key";r=0;t=2'
    }  # fmt: skip
    assert (refused.value.status, refused.value.details.type) == (429, "urn:clepsydra:problem:too_many_requests")
    rates.take("k", NOW_US + 1_000_000)


def test_keys_are_counted_apart():
    rates = Rates(1)
    for _ in range(2):
        rates.take("a", NOW_US)
    assert rates.take("b", NOW_US).headers() == [
        (b"ratelimit-policy", b'"key";q=2;w=2'), (b"ratelimit", b'"key";r=1;t=1')
    ]  # fmt: skip


def test_over_time_a_key_never_gets_more_than_its_rate_and_a_burst():
    rates, passed = Rates(50), 0
    for ms in range(0, 10_000, 3):
        try:
            rates.take("k", NOW_US + ms * 1_000)
        except ProblemError:
            continue
        passed += 1
    assert 10 * 50 <= passed <= 10 * 50 + 100
