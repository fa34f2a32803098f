"""What a courier takes before it has finished what it has: bounded, by count and by size."""

import asyncio

import pytest
from courier_world import World, due
from fakes import settle

from agents.courier import HERD, HERD_WAIT
from agents.in_hand import InHand
from agents.outcome_writer import BATCH_MAX
from agents.send_pool import SendPool
from schemas.times import MILLISECOND
from topology.courier import PAUSE_MS


def test_it_is_full_by_count_or_by_size():
    assert not InHand(2, 100).full()
    counted, sized = InHand(2, 100), InHand(2, 100)
    counted.take(2, 0)
    sized.take(1, 100)
    assert (counted.full(), sized.full()) == (True, True)


async def test_who_waits_for_room_goes_on_when_there_is_some():
    in_hand = InHand(1, 100)
    in_hand.take(1, 10)
    waiting = asyncio.create_task(in_hand.room())
    await settle()
    assert not waiting.done()
    in_hand.take(-1, -10)
    await asyncio.wait_for(waiting, 1)


@pytest.mark.parametrize("in_hand", [InHand(2, 10**9), InHand(10**9, 400)])
async def test_a_full_courier_takes_the_next_record_when_a_message_is_finished(in_hand: InHand):
    world = World()
    world.channel.hold("a", "b", "c")
    pool = SendPool(world.channel, world.clock, world.broken.append)
    pool.in_hand = in_hand
    courier = world.courier(pool=pool)
    await courier.recover()
    await world.give(courier, due("a"), due("b"))
    await world.give(courier, due("c"))
    assert world.channel.ids() == ["a", "b"]
    world.channel.release("a")
    await settle()
    assert world.channel.ids() == ["a", "b", "c"]
    world.channel.release("b", "c")
    await settle()
    assert (in_hand.count, in_hand.bytes, world.done) == (0, 0, [0, 1])


async def test_a_courier_that_lets_go_gives_back_what_it_had_in_hand():
    world = World()
    world.channel.hold("a")
    pool = SendPool(world.channel, world.clock, world.broken.append)
    courier = world.courier(pool=pool)
    await courier.recover()
    await world.give(courier, due("a"), due("b"))
    assert pool.in_hand.count == 1
    courier.abandon()
    assert (pool.in_hand.count, pool.in_hand.bytes) == (0, 0)


async def test_what_waits_for_a_place_at_a_slow_receiver_is_no_herd():
    """Outcomes waited for it, a second for each thousand: a kill had the more sent again the longer it went."""
    world = World(concurrency=1)
    world.channel.hold("hangs")
    courier = world.courier(pause=lambda: world.clock.sleep_ms(PAUSE_MS))
    await courier.recover()
    await world.give(courier, *(due(f"m{n}") for n in range(10)), due("hangs"), due("waits"))
    assert world.recorded() == []
    await world.clock.advance(PAUSE_MS)
    await settle()
    assert len(world.recorded()) == 10


async def test_in_a_herd_that_does_not_end_no_outcome_waits_longer_than_it_may():
    world = World(concurrency=HERD)
    courier = world.courier(pause=lambda: world.clock.sleep_ms(100))
    await courier.recover()
    longest, ended_ms = 0, [world.clock.ms] * HERD
    await world.give(courier, *(due(f"first-{k}") for k in range(HERD)))
    for n in range(25):
        await world.give(courier, *(due(f"m{n}-{k}") for k in range(HERD)))
        ended_ms += [world.clock.ms] * HERD
        while len(world.channel.sent) < len(ended_ms):
            await settle()
        await world.clock.advance(100)
        await settle()
        longest = max(longest, world.clock.ms - ended_ms[len(world.recorded())])
    assert 500 < longest <= HERD_WAIT / MILLISECOND + 100, longest


async def test_a_herd_that_takes_longer_goes_on_between_the_batches_of_its_outcomes():
    """They were written one after another, and a herd's last messages had a fifth of the turns."""
    world = World(concurrency=HERD)
    courier = world.courier(pause=lambda: world.clock.sleep_ms(PAUSE_MS))
    await courier.recover()
    for n in range(25):
        await world.give(courier, *(due(f"early-{n}-{k}") for k in range(200)))
    world.clock.ms += HERD_WAIT // MILLISECOND
    for offset in [world.lay(*(due(f"late-{n}-{k}") for k in range(200))) for n in range(30)]:
        world.feed(courier, offset)
    assert (len(world.channel.sent), world.recorded()) == (5_000, [])
    waking = asyncio.create_task(world.clock.advance(PAUSE_MS))
    while (written := len(world.recorded())) < 4_000:
        await settle(1)
    assert len(world.channel.sent) - 5_000 >= written - BATCH_MAX
    await waking
