"""Requests of a flow with a rate are counted where they leave: what connects slowly bunches nothing."""

import pytest
from courier_world import World, due
from fakes import NOW_MS, FakeChannel

from agents.ports import Turn
from schemas.due import DueMessage
from schemas.outcomes import Deferred, Delivered, Outcome, RetryLater
from schemas.times import ms_of

INTERVAL = 101
"""10 a second, with the margin."""


class ConnectingChannel(FakeChannel):
    """Connects for so many ms, by id; then a request leaves, and the machine may be busy just before that."""

    def __init__(self, world: World, **fields: object) -> None:
        super().__init__(**fields)  # type: ignore[arg-type]
        self._clock = world.clock
        self.connects: dict[str, int] = {}
        self.busy: dict[str, int] = {}
        self.left: list[int] = []

    async def send_in_turn(self, message: DueMessage, turn: Turn) -> Outcome:
        await self._clock.sleep_ms(self.connects.get(message.id, 0))
        held = await turn()
        if held is not None:
            return held
        self._clock.ms += self.busy.get(message.id, 0)
        self.left.append(self._clock.ms - NOW_MS)
        return await self.send(message)


def connecting(**limits: object) -> tuple[World, ConnectingChannel]:
    world = World()
    channel = world.channel = ConnectingChannel(world)
    world.set("acme", **limits)
    return world, channel


def posts(count: int) -> list[DueMessage]:
    return [due(f"p{n}", flow="acme") for n in range(count)]


async def run(world: World, ms: int) -> None:
    for _ in range(ms):
        await world.clock.advance(1)


async def test_a_slow_first_connection_does_not_bring_it_nearer_to_the_next() -> None:
    world, channel = connecting(rate=10)
    channel.connects["p0"] = 90  # the next has its connection at once
    await world.give(await world.recovered(), *posts(5))
    await run(world, 700)
    assert channel.left == [90, 191, 292, 393, 494]
    begun = [ms_of(ack.started_at) - NOW_MS for ack in world.acked() if ack.started_at]
    assert begun == channel.left, "what is told is when it left"
    assert world.results().count(Delivered()) == 5


async def test_a_request_that_left_late_moves_the_next() -> None:
    world, channel = connecting(rate=10)
    channel.busy["p0"] = 60  # between the look at the clock and the socket
    await world.give(await world.recovered(), *posts(3))
    await run(world, 500)
    assert channel.left == [60, 161, 262]


@pytest.mark.parametrize("busy", [0, 30, 250])
async def test_a_burst_is_no_larger_for_a_busy_machine(busy: int) -> None:
    world, channel = connecting(rate=10, burst=3)
    channel.busy = {f"p{n}": busy for n in range(3)}
    await world.give(await world.recovered(), *posts(7))
    await run(world, 1_200)
    assert len(channel.left) == 7
    for n, first in enumerate(channel.left):
        for count, last in enumerate(channel.left[n:], 1):
            assert count <= 3 + (last - first) // INTERVAL


async def test_connections_that_all_stand_at_once_go_one_by_one_and_who_would_wait_too_long_comes_again() -> None:
    world, channel = connecting(rate=10)
    channel.connects = {f"p{n}": 3_000 - n * INTERVAL for n in range(10)}
    courier = await world.recovered()
    await world.give(courier, *posts(10)[:5])
    await run(world, 450)
    await world.give(courier, *posts(10)[5:])  # in hand too: their slots are 55 to 459 ms away
    await run(world, 3_500)
    assert channel.left == [3_000, 3_101, 3_202, 3_303, 3_404]
    put_off = [ack for ack in world.acked() if isinstance(ack.result, Deferred)]
    assert [ms_of(ack.result.until) - NOW_MS for ack in put_off] == [3_505, 3_606, 3_707, 3_808, 3_909]
    assert {(ack.result.slot, ack.started_at) for ack in put_off} == {("flow", None)}


async def test_a_pause_while_it_connects_holds_it_back() -> None:
    world, channel = connecting(rate=10)
    channel.connects["p0"] = 400
    await world.give(await world.recovered(), *posts(1))
    world.set("acme", rate=10, paused=True)
    await run(world, 500)
    assert channel.left == []
    assert [type(result) for result in world.results()] == [Deferred]


async def test_a_courier_that_lost_its_lease_while_it_connects_sends_nothing() -> None:
    world, channel = connecting(rate=10)
    channel.connects["p0"] = 400
    await world.give(await world.recovered(), *posts(1))
    world.has_lease = False
    await run(world, 500)
    assert (channel.left, world.acked()) == ([], [])


async def test_a_request_that_did_not_leave_says_nothing_of_its_endpoint() -> None:
    """Four had no answer; one that is held back with its connection in hand is none that was answered."""
    world, channel = connecting(rate=10)
    place = "https://a.example"
    channel.script |= {f"p{n}": RetryLater(reason="no answer", unanswered=True) for n in range(4)}
    courier = await world.recovered()
    await world.give(courier, *(due(f"p{n}", flow="acme", to=f"{place}/hook") for n in range(4)))
    await run(world, 500)
    assert courier.pool.breakers[place].failures == 4
    channel.connects["held"] = 200
    await world.give(courier, due("held", flow="acme", to=f"{place}/hook"))
    world.set("acme", rate=10, paused=True)
    await run(world, 400)
    assert isinstance(world.results()[-1], Deferred)
    assert courier.pool.breakers[place].failures == 4
