"""A courier and the limits of flows: at its rate, each message put off at most once, the state kept over restarts."""

import itertools

import pytest
from courier_world import World, due, key
from fakes import NOW_MS, FakeMemory, settle
from msgspec.structs import replace

from schemas.due import DueMessage
from schemas.outcomes import Deferred, Delivered, OutcomeRecord, Paced
from schemas.times import at, ms_of

INTERVAL = 101
"""10 a second, with the margin."""


def posts(count: int, first: int = 0, **over: object) -> list[DueMessage]:
    return [due(f"p{n}", **({"flow": "acme"} | over)) for n in range(first, first + count)]


def back(message: DueMessage, deferred: Deferred) -> DueMessage:
    """As its owner emits it again."""
    return replace(message, due_at=deferred.until, turn=message.turn + 1, slot=deferred.slot, emitted_at=deferred.until)


async def deferred(world: World) -> dict[str, Deferred]:
    return {ack.id: ack.result for ack in world.acked() if isinstance(ack.result, Deferred)}


async def test_messages_over_the_rate_get_one_slot_each_in_order() -> None:
    world = World()
    world.set("acme", rate=10)
    await world.give(await world.recovered(), *posts(20))
    await world.clock.advance(500)
    # slots at 0, 101, 202, 303, 404 ms are waited for in hand, those from 505 ms on are given back
    assert world.channel.ids() == ["p0", "p1", "p2", "p3", "p4"]
    slots = {id_: ms_of(d.until) - NOW_MS for id_, d in (await deferred(world)).items()}
    assert slots == {f"p{n}": n * INTERVAL for n in range(5, 20)}
    assert {d.slot for d in (await deferred(world)).values()} == {"flow"}


async def test_the_reason_names_the_slot() -> None:
    world = World()
    world.set("acme", rate=1, per=60 * (at(1_000) - at(0)))
    await world.give(await world.recovered(), *posts(2))
    assert (await deferred(world))["p1"].reason == "waiting for its slot at 14:14:20.600 (UTC, acme)"


async def test_what_comes_back_at_its_slot_is_sent_and_not_put_off_again() -> None:
    world = World()
    world.set("acme", rate=10)
    courier = await world.recovered()
    waiting = {m.id: m for m in posts(100)}
    await world.give(courier, *waiting.values())
    begun: list[int] = []
    sent = 0
    for ms in range(10_200):
        await world.clock.advance(1)
        now = NOW_MS + ms + 1
        come = [back(waiting[i], d) for i, d in (await deferred(world)).items() if ms_of(d.until) + i_late(i) == now]
        if come:
            await world.give(courier, *come)
        begun += [now] * (len(world.channel.sent) - sent)
        sent = len(world.channel.sent)
    assert sorted(world.channel.ids()) == sorted(waiting)
    assert len(world.acked()) == 100 + 95, "each was put off once at most"
    assert all(b - a >= INTERVAL - 1 for a, b in itertools.pairwise(begun))


def i_late(id_: str) -> int:
    """So many ms a message comes after its slot: now more, now less."""
    return int(id_[1:]) * 7 % 23


async def test_a_crowd_whose_slots_have_passed_does_not_go_out_as_one() -> None:
    world = World()
    world.set("acme", rate=10)
    courier = await world.recovered()
    await world.give(courier, *posts(40))
    slots = await deferred(world)
    await world.clock.advance(3_000)
    sent = len(world.channel.sent)
    await world.give(courier, *(back(m, slots[m.id]) for m in posts(25, 5)))
    assert len(world.channel.sent) == sent + 1
    again = [ack.result for ack in world.acked() if isinstance(ack.result, Deferred) and ack.turn == 2]
    # five are waited for in hand; the others come behind all slots that were given: the last was 39 * 101 ms
    assert [ms_of(d.until) - NOW_MS for d in again] == [(40 + n) * INTERVAL for n in range(20)]


async def test_a_slot_on_another_day_says_so() -> None:
    world = World()
    world.set("acme", rate=1, per=at(86_400_000) - at(0))
    await world.give(await world.recovered(), *posts(2))
    assert (await deferred(world))["p1"].reason == "waiting for its slot at 14:27:44.000 (2026-09-22 UTC, acme)"


async def test_those_whose_time_came_while_the_loop_was_busy_do_not_go_out_at_once() -> None:
    world = World()
    world.set("acme", rate=10)
    await world.give(await world.recovered(), *posts(5))
    world.clock.ms += 350  # nobody is woken meanwhile; three are late then
    begun = [0]
    for ms in range(350, 900):
        await world.clock.advance(1)
        begun += [ms + 1] * (len(world.channel.sent) - len(begun))
    assert begun == [0, 351, 451, 552, 653]  # woken at 350 ms, seen a ms later


async def test_flows_and_messages_without_one_are_not_held_up_by_another() -> None:
    world = World()
    world.set("acme", rate=1)
    await world.give(await world.recovered(), *posts(5), due("free"), *posts(2, 100, flow="other"))
    assert world.channel.ids() == ["p0", "free", "p100", "p101"]


async def test_a_burst_goes_at_once() -> None:
    world = World()
    world.set("acme", rate=10, burst=4)
    await world.give(await world.recovered(), *posts(6))
    assert world.channel.ids() == ["p0", "p1", "p2", "p3"]


async def test_what_is_used_is_written_down_and_known_to_the_next_courier() -> None:
    world = World()
    world.set("acme", rate=10)
    memory = FakeMemory()
    await world.give(await world.recovered(memory), *posts(20))
    await world.clock.advance(450)
    assert memory.paces["acme"] == Paced(
        "acme", given_us=(NOW_MS + 20 * INTERVAL) * 1_000, sent_us=(NOW_MS + 5 * INTERVAL) * 1_000
    )
    await world.give(await world.recovered(FakeMemory()), *posts(1, 50))
    assert (await deferred(world))["p50"].until == at(NOW_MS + 20 * INTERVAL)


async def test_after_a_crash_in_the_middle_nothing_goes_out_before_an_interval_is_over() -> None:
    world = World()
    world.set("acme", rate=10, burst=5)
    offset = world.lay(*posts(10))
    await world.clock.advance(1_000)
    courier = await world.recovered()  # the former one may have sent five just before this
    world.feed(courier, offset)
    await settle()
    assert world.channel.ids() == []
    await world.clock.advance(INTERVAL)
    assert world.channel.ids() == ["p0"]


async def test_without_the_doubt_a_crash_doubles_the_burst() -> None:
    world = World()
    world.set("acme", rate=10, burst=5)
    offset = world.lay(*posts(10))
    courier = await world.recovered()
    courier.gates.doubt = lambda _: None  # type: ignore[method-assign]
    world.feed(courier, offset)
    await settle()
    assert len(world.channel.ids()) == 5


async def test_after_a_crash_a_whole_channel_waits_for_an_interval_too() -> None:
    world = World()
    world.set("channel:log", rate=40, burst=20)  # a quarter: one each 101 ms, five at once
    offset = world.lay(*(due(f"m{n}") for n in range(10)))
    await world.clock.advance(1_000)
    world.feed(await world.recovered(), offset)
    await settle()
    assert world.channel.ids() == []
    await world.clock.advance(INTERVAL)
    assert world.channel.ids() == ["m0"]


async def test_a_doubt_that_comes_later_counts_for_a_flow_that_has_sent_already() -> None:
    world = World()
    world.set("acme", rate=10, burst=5)
    courier = await world.recovered()
    await world.give(courier, *posts(1))
    courier.gates.doubt("acme")
    await world.give(courier, *posts(4, 1))
    assert world.channel.ids() == ["p0"]


async def test_a_recorded_slot_outlives_the_courier() -> None:
    world = World()
    world.set("acme", rate=10)
    message = posts(1)[0]
    courier = await world.recovered()
    until = at(NOW_MS + 2_000)
    await world.clock.advance(2_000)
    await world.give(courier, replace(message, due_at=until, slot="flow", turn=2, emitted_at=until))
    assert world.channel.ids() == ["p0"]


async def test_a_whole_channel_has_its_share_of_the_rate_in_each_partition() -> None:
    world = World()
    world.set("channel:log", rate=40)  # a quarter: one each 101 ms
    await world.give(await world.recovered(), *(due(f"m{n}") for n in range(8)))
    assert world.channel.ids() == ["m0"]
    assert {id_: ms_of(d.until) - NOW_MS for id_, d in (await deferred(world)).items()} == {
        f"m{n}": n * INTERVAL for n in range(5, 8)
    }
    assert {d.slot for d in (await deferred(world)).values()} == {"channel"}


async def test_what_waited_for_its_flow_may_wait_once_more_for_the_channel() -> None:
    world = World()
    world.set("acme", rate=1)
    world.set("channel:log", rate=1)  # one each 4.04 s in this partition
    courier = await world.recovered()
    first, second = posts(2)
    await world.give(courier, first, second)
    one = (await deferred(world))["p1"]
    assert (one.slot, ms_of(one.until) - NOW_MS) == ("flow", 1_010)
    await world.clock.advance(1_010)
    await world.give(courier, again := back(second, one))
    two = (await deferred(world))["p1"]
    assert (two.slot, ms_of(two.until) - NOW_MS) == ("channel", 4_040)
    await world.clock.advance(3_030)
    await world.give(courier, back(again, two))
    assert world.channel.ids() == ["p0", "p1"]


async def test_a_paused_flow_sends_nothing_and_gives_back_what_is_in_hand() -> None:
    world = World()
    world.set("acme", paused=True, note="the token has run out")
    await world.give(await world.recovered(), *posts(2), due("free"))
    assert world.channel.ids() == ["free"]
    assert (await deferred(world))["p0"] == Deferred(until=at(NOW_MS + 1_000), reason="acme is paused")


async def test_a_message_that_would_expire_before_its_slot_says_so() -> None:
    world = World()
    world.set("acme", rate=1, per=at(60_000) - at(0))
    expires = at(NOW_MS + 5_000)
    await world.give(await world.recovered(), *posts(2, expires_at=expires))
    given = (await deferred(world))["p1"]
    assert (given.until, given.slot) == (expires, "")
    assert given.reason.startswith("expires before its slot at ")


@pytest.mark.parametrize("honours", [False, True])
async def test_a_flow_may_say_whether_its_receivers_honour_the_key(honours: bool) -> None:
    world = World(honours_key=not honours)
    world.set("acme", honours_key=honours)
    world.channel.script["p0"] = ValueError("no answer")
    await world.give(await world.recovered(), *posts(1))
    assert type(world.results()[0]).__name__ == ("RetryLater" if honours else "Unknown")


async def test_a_flow_whose_receivers_honour_no_key_is_noted_before_it_is_sent() -> None:
    world = World()
    world.set("acme", honours_key=False)
    courier = await world.recovered()
    world.outcomes.held = True
    await world.give(courier, *posts(1))
    assert world.channel.ids() == []
    world.outcomes.release()
    await settle()
    assert world.channel.ids() == ["p0"]


async def test_where_sends_are_noted_they_are_still_spaced() -> None:
    world = World(honours_key=False)
    world.set("acme", rate=10)
    begun: list[int] = []
    send = world.channel.send

    async def timed(message: DueMessage) -> object:
        begun.append(world.clock.ms - NOW_MS)
        return await send(message)

    world.channel.send = timed  # type: ignore[method-assign,assignment]
    await world.give(await world.recovered(), *posts(8))
    for _ in range(100):
        await world.clock.advance(10)
    assert begun == [0, 101, 202, 303, 404] or all(b - a >= INTERVAL for a, b in itertools.pairwise(begun))
    assert len(begun) == 5


async def test_a_message_without_limits_writes_nothing_more() -> None:
    world = World()
    world.set("acme", rate=10)
    memory = FakeMemory()
    await world.give(await world.recovered(memory), due("free"))
    record = memory.outcomes[key(due("free"))]
    assert isinstance(record, OutcomeRecord)
    assert (record.result, record.paced, memory.paces) == (Delivered(), (), {})


async def test_a_higher_rate_gives_slots_anew_and_not_behind_those_that_are_given_up() -> None:
    world = World()
    world.set("acme", rate=1, per=at(60_000) - at(0))
    courier = await world.recovered()
    await world.give(courier, *posts(5))
    world.set("acme", rate=10)
    await world.give(courier, *posts(3, 50))
    # one was sent: at the new rate at most 500 ms (in hand) and one interval are used
    assert {id_: ms_of(d.until) - NOW_MS for id_, d in (await deferred(world)).items() if id_[1] == "5"} == {
        "p50": 500 + INTERVAL, "p51": 500 + 2 * INTERVAL, "p52": 500 + 3 * INTERVAL,
    }  # fmt: skip
