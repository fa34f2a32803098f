"""The hands of a channel: bounded, fair, and never more than one slow endpoint's share lost."""

import asyncio

import pytest
from courier_world import World, due
from fakes import settle

from agents.send_job import endpoint
from agents.send_pool import SendPool
from schemas.outcomes import Delivered, Expired, RetryLater, Unknown
from schemas.times import at


@pytest.mark.parametrize(
    ("to", "place"),
    [
        ("https://Example.org/hook/1?x=/", "https://example.org"),
        ("https://example.org:8443", "https://example.org:8443"),
        ("http://h?q", "http://h"),
        ("ann@example.org", "ann@example.org"),
        ("", ""),
    ],
)
def test_an_endpoint_is_scheme_and_host_or_the_whole_address(to: str, place: str) -> None:
    assert endpoint(to) == place


async def test_a_slow_endpoint_holds_only_its_own_messages() -> None:
    world = World(concurrency=8)
    slow = [due(f"slow{n}", to=f"https://slow/{n}") for n in range(20)]
    world.channel.hold(*(m.id for m in slow))
    courier = await world.recovered()
    await world.give(courier, *slow, *(due(f"quick{n}", to="https://quick/") for n in range(20)))
    assert world.channel.ids() == ["slow0", "slow1", *(f"quick{n}" for n in range(20))]
    for n in range(20):
        world.channel.release(f"slow{n}")
        await settle()
    assert world.channel.ids()[22:] == [f"slow{n}" for n in range(2, 20)]
    assert world.done == [0]


async def test_without_the_share_it_takes_every_hand() -> None:
    world = World(concurrency=8)
    slow = [due(f"slow{n}", to="https://slow/") for n in range(20)]
    world.channel.hold(*(m.id for m in slow))
    courier = world.courier(pool=SendPool(world.channel, world.clock, world.broken.append, share=9))
    await courier.recover()
    await world.give(courier, *slow, due("quick", to="https://quick/"))
    assert "quick" not in world.channel.ids()


async def test_parked_messages_go_on_when_the_one_before_them_expired_meanwhile() -> None:
    world = World(concurrency=4)
    to = "https://slow/"
    world.channel.hold("first")
    courier = await world.recovered()
    expiring = [due(f"x{n}", to=to, expires_at=at(world.clock.ms + 1_000)) for n in range(3)]
    await world.give(courier, due("first", to=to), *expiring, due("last", to=to))
    await world.clock.advance(1_000)
    world.channel.release("first")
    await settle()
    assert world.channel.ids() == ["first", "last"]
    assert sorted(world.results(), key=repr) == [Delivered(), Delivered(), Expired(), Expired(), Expired()]


async def test_sends_run_side_by_side_up_to_the_channels_concurrency() -> None:
    world = World(concurrency=3)
    world.channel.hold(*"abcde")
    await world.give(await world.recovered(), *(due(x) for x in "abcde"))
    assert world.channel.ids() == ["a", "b", "c"]
    world.channel.release("b")
    await settle()
    assert world.channel.ids() == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("honours_key", "outcome"),
    [
        (True, RetryLater(reason="ValueError: what", maybe_sent=True)),
        (False, Unknown(reason="ValueError: what")),
    ],
)
@pytest.mark.parametrize("held", [True, False])
async def test_what_a_channel_raises_is_an_outcome(honours_key: bool, outcome: object, held: bool) -> None:
    world = World(honours_key=honours_key)
    world.channel.script["m"] = ValueError("what")
    if held:
        world.channel.hold("m")
    await world.give(await world.recovered(), due())
    if held:
        world.channel.release("m")
        await settle()
    assert (world.results(), world.done, world.broken) == ([outcome], [0], [])


async def test_a_channel_that_cancels_its_send_loses_no_worker() -> None:
    world = World(concurrency=1)
    world.channel.hold("m")
    world.channel.script["m"] = asyncio.CancelledError()
    courier = await world.recovered()
    await world.give(courier, due())
    world.channel.release("m")
    await world.give(courier, due("next"))
    assert world.results() == [RetryLater(reason="CancelledError: ", maybe_sent=True), Delivered()]


async def test_an_answer_that_is_no_outcome_is_no_success() -> None:
    world = World()
    world.channel.script["m"] = None  # type: ignore[assignment]
    await world.give(await world.recovered(), due())
    assert [type(x) for x in world.results()] == [Unknown]


@pytest.mark.parametrize(("honours_key", "kind"), [(True, RetryLater), (False, Unknown)])
async def test_a_send_is_bounded_by_the_channels_timeout(honours_key: bool, kind: type) -> None:
    world = World(timeout_ms=1, honours_key=honours_key)
    world.channel.hold("m")
    courier = await world.recovered()
    await world.give(courier, due())
    async with asyncio.timeout(5):
        while not world.done:
            await settle()
    assert world.results() == [kind(reason="no answer within 1 ms", maybe_sent=True, unanswered=True)]


async def test_the_first_of_many_is_sent_before_the_last_is_prepared() -> None:
    world = World()
    courier = await world.recovered()
    for n in range(5):
        world.feed(courier, world.lay(*(due(f"{n}-{i}") for i in range(200))))
    while not world.channel.sent:
        await settle(1)
    assert len(courier.in_flight) <= 100
    await settle(500)
    assert (len(world.channel.sent), world.done) == (1_000, [0, 1, 2, 3, 4])


async def test_stop_ends_the_workers() -> None:
    world = World()
    pool = SendPool(world.channel, world.clock, world.broken.append)
    world.channel.hold("m")
    courier = world.courier(pool=pool)
    await courier.recover()
    await world.give(courier, due())
    courier.abandon()
    await pool.stop()
    assert (pool._workers, world.broken) == (set(), [])
