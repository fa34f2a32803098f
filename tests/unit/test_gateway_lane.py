"""The lane of one partition: one batch at a time, nothing told durable that is not."""

import asyncio
from collections.abc import Sequence

import pytest

from topology import command_lane
from topology.command_lane import CommandLane, LaneFullError


class Writes:
    """Records batches; each waits until it is let through."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.gate = asyncio.Semaphore(0)
        self.fault: Exception | None = None
        self.at_once = 0

    async def __call__(self, partition: int, elements: Sequence[bytes]) -> None:
        assert partition == 3
        self.batches.append(list(elements))
        self.at_once += 1
        assert self.at_once == 1
        try:
            await self.gate.acquire()
            if self.fault is not None:
                raise self.fault
        finally:
            self.at_once -= 1


@pytest.fixture
async def writes() -> Writes:
    return Writes()


async def test_what_comes_in_during_a_write_goes_together_into_the_next(writes: Writes):
    lane = CommandLane(3, writes)
    first = lane.put([b"a"])
    await asyncio.sleep(0)
    later = [lane.put([b"b"]), lane.put([b"c", b"d"])]
    writes.gate.release()
    await first
    assert not any(load.done() for load in later)
    writes.gate.release()
    await asyncio.gather(*later)
    assert writes.batches == [[b"a"], [b"b", b"c", b"d"]]


async def test_a_failure_is_told_to_all_who_wait_and_the_next_load_is_written(writes: Writes):
    lane = CommandLane(3, writes)
    loads = [lane.put([b"a"])]
    await asyncio.sleep(0)
    loads.append(lane.put([b"b"]))
    writes.fault = ConnectionError("gone")
    writes.gate.release()
    told = await asyncio.gather(*loads, return_exceptions=True)
    assert [str(each) for each in told] == ["gone", "gone"]
    writes.fault = None
    writes.gate.release()
    await lane.put([b"c"])
    assert writes.batches == [[b"a"], [b"c"]]


async def test_batches_are_cut_by_size_but_one_element_always_goes(writes: Writes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command_lane, "BATCH_BYTES_MAX", 10)
    lane = CommandLane(3, writes)
    load = lane.put([b"x" * 20, b"aaaa", b"bbbb", b"cccc"])
    for _ in range(3):
        writes.gate.release()
    await load
    assert writes.batches == [[b"x" * 20], [b"aaaa", b"bbbb"], [b"cccc"]]


async def test_a_caller_who_left_does_not_stop_the_others(writes: Writes):
    lane = CommandLane(3, writes)
    left, stays = lane.put([b"a"]), lane.put([b"b"])
    left.cancel()
    writes.gate.release()
    await stays
    await lane.drained()
    assert writes.batches == [[b"a", b"b"]]


async def test_a_lane_with_too_much_in_it_takes_no_more(writes: Writes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command_lane, "BACKLOG_BYTES_MAX", 3)
    lane = CommandLane(3, writes)
    load = lane.put([b"abcd"])
    with pytest.raises(LaneFullError, match="partition 3"):
        lane.put([b"e"])
    writes.gate.release()
    await load
    writes.gate.release()
    await lane.put([b"e"])
