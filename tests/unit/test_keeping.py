"""Partitions that a process keeps: let go at once while loading, in peace when caught up, claimed anew where that mends it."""

import asyncio

import pytest

from agents.claimed_log import LostClaimError
from agents.ports import LogBrokenError
from topology import keeping
from topology.keeping import Keeping


class Part:
    """Loads until `caught_up`, then works until it is stopped, or raises what it is told to."""

    def __init__(self, fault=None):
        self.fault, self.begun, self.closed = fault, asyncio.Event(), 0
        self.caught_up, self.stopped = asyncio.Event(), asyncio.Event()
        self.ended_in_peace = False

    async def run(self):
        self.begun.set()
        await self.caught_up.wait()
        if self.fault is not None:
            raise self.fault
        await self.stopped.wait()
        self.ended_in_peace = True

    def ready(self):
        return self.caught_up.is_set()

    def stop(self):
        self.stopped.set()

    async def close(self):
        self.closed += 1


class World:
    def __init__(self, *parts):
        self.parts, self.made, self.broken = list(parts), 0, []
        self.keeping = Keeping(self.make, self.broken.append)

    async def make(self, partition):
        assert partition == 0
        self.made += 1
        return self.parts[self.made - 1]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(keeping, "AGAIN_MS", 0)


async def test_one_that_is_loading_is_let_go_at_once():
    """A cold load takes seconds, and all others of the group wait for it meanwhile."""
    part = Part()
    world = World(part)
    world.keeping.assign({0})
    await part.begun.wait()
    async with asyncio.timeout(0.5):
        await world.keeping.revoke(within_s=60)
    assert (part.ended_in_peace, part.closed, world.keeping.kept, world.broken) == (False, 1, {}, [])


async def test_one_that_has_caught_up_ends_in_peace():
    part = Part()
    part.caught_up.set()
    world = World(part)
    world.keeping.assign({0})
    await part.begun.wait()
    await world.keeping.revoke(within_s=60)
    assert (part.ended_in_peace, part.closed) == (True, 1)


@pytest.mark.parametrize("fault", [LostClaimError("somebody newer"), LogBrokenError("a write's fate is unknown")])
async def test_what_a_new_claim_mends_is_claimed_again(fault):
    first, second = Part(fault), Part()
    first.caught_up.set()
    world = World(first, second)
    world.keeping.assign({0})
    await second.begun.wait()
    assert (first.closed, world.made, world.broken) == (1, 2, [])
    await world.keeping.revoke(within_s=1)


async def test_what_a_new_claim_does_not_mend_for_long_ends_the_process(monkeypatch):
    monkeypatch.setattr(keeping, "MEND_WITHIN_S", -1)
    fault = LogBrokenError("still broken")
    part = Part(fault)
    part.caught_up.set()
    world = World(part)
    world.keeping.assign({0})
    await asyncio.wait(world.keeping._tasks.values())
    assert world.broken == [fault]


async def test_a_bug_ends_the_process_at_once():
    fault = ZeroDivisionError("a bug")
    part = Part(fault)
    part.caught_up.set()
    world = World(part)
    world.keeping.assign({0})
    await asyncio.wait(world.keeping._tasks.values())
    assert (world.broken, world.made) == ([fault], 1)
