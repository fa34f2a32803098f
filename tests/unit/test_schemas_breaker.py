"""The breaker's few transitions, with the arithmetic."""

from schemas.breaker import FAILURES, Breaker, failed

NOW = 1_000_000


def after(times: list[int], breaker: Breaker | None = None) -> Breaker:
    breaker = breaker or Breaker()
    for now_ms in times:
        breaker = failed(breaker, now_ms)
    return breaker


def test_it_opens_after_five_failures_in_a_row_and_not_before():
    assert not after([NOW] * (FAILURES - 1)).is_open
    assert after([NOW, NOW, NOW, NOW + 1, NOW + 2]) == Breaker(failures=5, since_ms=NOW, opened=1, until_ms=NOW + 5_002)


def test_each_failed_probe_opens_it_for_twice_as_long_a_minute_at_most():
    breaker, lengths = after([NOW] * FAILURES), []
    for _ in range(6):
        breaker, before = failed(breaker, breaker.until_ms), breaker
        lengths.append(breaker.until_ms - before.until_ms)
    assert lengths == [10_000, 20_000, 40_000, 60_000, 60_000, 60_000]


def test_those_under_way_when_it_opened_do_not_open_it_for_longer():
    breaker = after([NOW] * FAILURES)
    assert after([NOW + 100] * 60, breaker).until_ms == breaker.until_ms


def test_it_lets_one_through_when_its_time_is_over():
    breaker = after([NOW] * FAILURES)
    assert (breaker.shut_for_ms(NOW + 4_999), breaker.shut_for_ms(NOW + 5_000)) == (1, 0)
