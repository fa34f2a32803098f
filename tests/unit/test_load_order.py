"""Partitions are loaded one after another; one whose log gives nothing is passed over."""

import asyncio

import pytest
from fakes import FakeClock, settle

from agents.load_order import LOOK_MS, STALLED_MS, LoadOrder


async def load(order, partition, clock, taken, slices, pause_ms=0):
    """Takes slices in, which come `pause_ms` apart."""
    with order.loading(partition, clock.now_ms()):
        for _ in range(slices):
            await clock.sleep_ms(pause_ms)
            await order.wait(partition, clock)
            taken.append(partition)


async def loads(*parts, ms):
    """What was taken in, in order, when these (partition, slices, pause) have loaded for so long."""
    order, clock, taken = LoadOrder(), FakeClock(), []
    tasks = [asyncio.create_task(load(order, n, clock, taken, slices, pause)) for n, slices, pause in parts]
    await settle()
    await clock.advance(ms)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return taken


@pytest.mark.parametrize("pause_ms", [0, 5, STALLED_MS // 2])
async def test_the_one_that_began_first_is_loaded_first(pause_ms):
    taken = await loads((2, 3, pause_ms), (0, 3, pause_ms), (1, 3, pause_ms), ms=20 * STALLED_MS)
    assert taken == [2, 2, 2, 0, 0, 0, 1, 1, 1]


async def test_one_whose_log_gives_nothing_does_not_hold_the_others_up():
    taken = await loads((0, 2, 30 * STALLED_MS), (1, 2, 0), ms=STALLED_MS + 2 * LOOK_MS)
    assert taken == [1, 1]


async def test_one_that_is_let_go_makes_room():
    order, clock, taken = LoadOrder(), FakeClock(), []
    first = asyncio.create_task(load(order, 0, clock, taken, 2, STALLED_MS // 2))
    second = asyncio.create_task(load(order, 1, clock, taken, 1))
    await settle()
    first.cancel()
    await settle()
    await clock.advance(LOOK_MS)
    assert taken == [1]
    assert second.done()
