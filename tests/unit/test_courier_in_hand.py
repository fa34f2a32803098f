"""What a courier takes before it has finished what it has: bounded, by count and by size."""

import asyncio

import pytest
from courier_world import World, due
from fakes import settle

from agents.in_hand import InHand
from agents.send_pool import SendPool


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
