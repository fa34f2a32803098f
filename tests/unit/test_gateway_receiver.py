"""The demo's receiver and verdict."""

from gateway.demo import Lateness, Result, percentile, result_of
from gateway.receiver import Herd, Receiver, Report

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Stopped:
    def now_ms(self) -> int:
        return 0

    async def sleep_ms(self, ms: float) -> None:
        raise AssertionError(ms)


def test_repeats_are_dropped_by_key_and_other_keys_are_duplicates():
    receiver = Receiver(SECRET, Stopped())
    for key, number, now_ms in (("a/0", 1, 1_005), ("a/0", 1, 1_006), ("b/0", 1, 1_007), ("c/0", 2, 999)):
        receiver.take(key, Herd(number, 1_000), now_ms)
    assert receiver.report == Report(received=3, duplicates=1, repeats_dropped=1, early=1, lateness_ms=[5, 7, -1])


def test_the_verdict_counts_what_is_missing():
    report = Report(received=3, duplicates=1, repeats_dropped=2, lateness_ms=[3, 1, 2])
    assert result_of(4, report, 12.34) == Result(
        messages=4, received=3, duplicates=1, early=0, lost=2, repeats_dropped=2,
        lateness_ms=Lateness(p50=2, p99=3, max=3), seconds=12.3,
    )  # fmt: skip
    assert not result_of(4, report, 1).perfect
    assert result_of(3, Report(received=3, lateness_ms=[0, 0, 0]), 1).perfect


def test_percentiles_are_by_nearest_rank():
    assert [percentile(range(1, 101), p) for p in (50, 99, 100)] == [50, 99, 100]
    assert [percentile([7], 50), percentile([], 99)] == [7, 0]
