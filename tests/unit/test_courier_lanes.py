"""Dead and slow endpoints, and flows with a parallelism: they hold up themselves only."""

import pytest
from courier_world import World, due
from fakes import NOW_MS, settle
from msgspec.structs import replace

from agents.lane import FLOW, Lane
from schemas.breaker import FAILURES
from schemas.outcomes import Deferred, Delivered, RetryLater
from schemas.times import at, ms_of

SILENT = RetryLater(reason="no connection", unanswered=True)
DEAD = "https://dead.example/hook"


async def silenced(world: World, count: int = FAILURES):
    """A courier of whom an endpoint has answered none of so many."""
    courier = await world.recovered()
    for n in range(count):
        world.channel.script[f"d{n}"] = SILENT
    await world.give(courier, *(due(f"d{n}", to=DEAD) for n in range(count)))
    return courier


async def test_after_five_that_were_not_answered_nothing_is_sent_there_and_others_go_on() -> None:
    world = World()
    courier = await silenced(world)
    await world.give(courier, due("late", to=DEAD + "?x=1"), due("other", to="https://other/"))
    assert world.channel.ids()[FAILURES:] == ["other"]
    put_off = next(ack.result for ack in world.acked() if ack.id == "late")
    assert put_off == Deferred(
        until=at(NOW_MS + 5_000),
        slot="breaker",
        reason="https://dead.example has not answered since 14:13:20, it is tried again at 14:13:25 (UTC)",
    )


async def test_four_are_not_enough_and_an_answer_begins_the_count_anew() -> None:
    world = World()
    courier = await silenced(world, FAILURES - 1)
    world.channel.script["refused"] = RetryLater(reason="503")
    world.channel.script["silent"] = SILENT
    await world.give(courier, due("refused", to=DEAD), due("silent", to=DEAD), due("next", to=DEAD))
    assert world.channel.ids()[-1] == "next"


async def test_when_its_time_is_over_one_probe_goes_and_the_others_wait_for_its_end() -> None:
    world = World()
    courier = await silenced(world)
    await world.clock.advance(5_000)
    world.channel.hold("probe")
    await world.give(courier, due("probe", to=DEAD), *(due(f"w{n}", to=DEAD) for n in range(3)))
    assert world.channel.ids()[FAILURES:] == ["probe"]
    world.channel.release("probe")
    await settle()
    assert world.channel.ids()[FAILURES:] == ["probe", "w0", "w1", "w2"]


async def test_a_failed_probe_keeps_it_open_and_those_that_waited_are_answered_at_once() -> None:
    world = World()
    courier = await silenced(world)
    await world.clock.advance(5_000)
    world.channel.hold("probe")
    world.channel.script["probe"] = SILENT
    came_back = replace(due("again", to=DEAD), slot="breaker")
    await world.give(courier, due("probe", to=DEAD), due("new", to=DEAD), came_back)
    world.channel.release("probe")
    await settle()
    results = {ack.id: ack.result for ack in world.acked()}
    assert isinstance(results["new"], Deferred)
    assert results["new"].until == at(NOW_MS + 15_000)
    # put off once already: now it counts as an attempt, so that a message to a dead endpoint ends some day
    assert results["again"] == RetryLater(
        reason="not tried: https://dead.example has not answered since 14:13:20 (UTC)"
    )
    assert world.channel.ids()[FAILURES:] == ["probe"]


async def test_a_flow_has_no_more_under_way_than_its_parallelism() -> None:
    world = World(concurrency=16)
    world.set("acme", parallelism=2)
    ids = [f"p{n}" for n in range(6)]
    world.channel.hold(*ids)
    await world.give(await world.recovered(), *(due(i, flow="acme", to=f"https://{i}/") for i in ids), due("free"))
    assert world.channel.ids() == ["p0", "p1", "free"]
    for n in range(4):
        world.channel.release(f"p{n}")
        await settle()
        assert world.channel.ids()[-1] == f"p{n + 2}"


async def test_a_whole_channel_may_have_a_parallelism() -> None:
    world = World(concurrency=16)
    world.set("channel:log", parallelism=1)
    world.channel.hold("a", "b")
    await world.give(await world.recovered(), due("a"), due("b"))
    assert world.channel.ids() == ["a"]


async def test_no_job_is_stranded_where_two_lanes_are_full() -> None:
    world = World(concurrency=8)  # two at once to one endpoint
    world.set("acme", parallelism=1)
    world.channel.hold("a0", "x0", "a1")
    to = "https://shared/"
    jobs = [due("a0", to=to, flow="acme"), due("x0", to=to), due("a1", to=to, flow="acme"), due("x1", to=to)]
    await world.give(await world.recovered(), *jobs)
    assert world.channel.ids() == ["a0", "x0"]
    world.channel.release("x0")
    await settle()
    assert world.channel.ids() == ["a0", "x0", "x1"], "a1 waits for its flow and does not keep x1 from the endpoint"
    world.channel.release("a0")
    await settle()
    assert world.channel.ids() == ["a0", "x0", "x1", "a1"]


async def test_what_would_wait_too_long_for_a_hanging_endpoint_goes_back_to_the_timetable() -> None:
    world = World(concurrency=8)  # two at once to one endpoint
    ids = [f"h{n}" for n in range(20)]
    world.channel.hold(*ids)
    courier = await world.recovered()
    await world.give(courier, *(due(i, to="https://slow/") for i in ids))
    await world.clock.advance(2_000)
    # after 1 s two have hung for 1 s, that is one in 500 ms: ten may wait and eight are put off, from 5.5 s on;
    # after 2 s it is one a second: five may wait and five more are put off, behind those
    put_off = [ms_of(ack.result.until) - NOW_MS for ack in world.acked() if isinstance(ack.result, Deferred)]
    assert put_off == [*(6_500 + n * 500 for n in range(8)), *(11_000 + n * 1_000 for n in range(5))]
    for id_ in ids:
        world.channel.release(id_)
    await settle(500)
    assert world.results().count(Delivered()) == 7


def test_a_lane_estimates_by_what_has_taken_long_so_far() -> None:
    lane: Lane[str] = Lane("place", 10)
    lane.enter("a", 1_000)
    assert lane.each_ms(3_000) == 200  # one has been under way for 2 s, ten at once
    lane.leave("a", 3_000)
    assert lane.each_ms(9_000) == 200  # as the last one did
    lane.parked.extend("bcdefghij")
    assert lane.surplus(9_000) == []  # nine at 200 ms are 1.8 s
    lane.parked.extend(str(n) for n in range(30))
    # 5 s are 25; 14 come again from 5.2 s on
    assert [until for _, until in lane.surplus(9_000)] == [14_200 + 200 * n for n in range(14)]


@pytest.mark.parametrize(("key", "back"), [("place", 0), (FLOW + "acme", 90)])
def test_a_herd_at_an_endpoint_that_answers_is_not_sent_back_but_a_flow_that_is_narrow_is(key: str, back: int) -> None:
    lane: Lane[str] = Lane(key, 1)
    lane.enter("a", 1_000)
    lane.leave("a", 1_500)  # half a second for each: ten in 5 s
    lane.parked.extend(str(n) for n in range(100))
    assert len(lane.surplus(2_000)) == back
