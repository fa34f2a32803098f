"""Each rule of a courier, and that its test fails without it (names as in DESIGN section 5)."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from courier_world import World, due, fence, without
from fakes import NOW_MS, FakeMemory, settle

from agents.ack_writer import AckWriter
from agents.courier import CourierPartition
from agents.courier_memory import claim_record
from schemas.outcomes import Deferred, Delivered, EpochSeen, Expired, RetryLater, Stale
from schemas.times import CLOCK_SKEW_MS, at
from schemas.wire import read_outcome

LATER = RetryLater(reason="503")


async def void_after_a_fence(world: World) -> None:
    courier = await world.recovered()
    await world.give(courier, fence(5))
    await world.give(courier, due("old", epoch=4), due("new", epoch=5))
    assert world.channel.ids() == ["new"]
    assert world.done == [0, 1]


async def epoch_over_a_restart(world: World) -> None:
    courier = await world.recovered()
    await world.give(courier, fence(5))
    assert world.done == [0]
    courier.abandon()
    await world.give(await world.recovered(), due(epoch=4))
    assert world.channel.ids() == []


async def repeat_is_acked_again(world: World) -> None:
    courier = await world.recovered()
    await world.give(courier, due())
    await world.give(courier, due())
    assert world.channel.ids() == ["m"]
    assert world.results() == [Delivered(), Delivered()]
    assert world.done == [0, 1]


async def refusal_is_remembered(world: World) -> None:
    world.channel.script["m"] = LATER
    courier = await world.recovered()
    await world.give(courier, due())
    await world.give(courier, due())
    assert world.channel.ids() == ["m"]
    assert world.results() == [LATER, LATER]


async def repeat_in_flight_waits(world: World) -> None:
    world.channel.hold("m")
    courier = await world.recovered()
    await world.give(courier, due())
    await world.give(courier, due())
    assert world.channel.ids() == ["m"]
    assert world.done == []
    world.channel.release("m")
    await settle()
    assert world.done == [0, 1]


async def taken_over_is_in_doubt(world: World) -> None:
    world.channel.script["m"] = LATER
    offset = world.lay(due())
    courier = await world.recovered()
    world.feed(courier, offset)
    await settle()
    assert world.results() == [RetryLater(reason="503", maybe_sent=True)]


async def dead_couriers_outcome_is_void(world: World) -> None:
    """X sent and its record landed after Y had claimed: Y cannot know that X will not ack, and must send."""
    old = await world.recovered()
    world.channel.hold("m")
    await world.give(old, due())
    claim = world.outcomes.land(claim_record("newer"))
    world.channel.release("m")
    await settle()
    assert old.ended == "claim lost"
    assert world.acked() == []
    assert world.done == []
    assert len(world.outcomes.stored) == claim + 2
    memory = FakeMemory()
    await world.recovered(memory)
    assert memory.outcomes == {}


async def zombie_starts_nothing(world: World) -> None:
    courier = await world.recovered()
    world.has_lease = False
    await world.give(courier, due())
    assert world.channel.ids() == []
    assert courier.ended == "lease lost"


async def zombie_acks_nothing(world: World) -> None:
    world.channel.hold("m")
    courier = await world.recovered()
    await world.give(courier, due())
    world.has_lease = False
    world.channel.release("m")
    await settle()
    assert (world.acked(), world.done) == ([], [])


async def done_after_the_ack(world: World) -> None:
    courier = await world.recovered()
    world.acks.held = True
    await world.give(courier, due())
    assert world.recorded() == [Delivered()]
    assert world.done == []
    world.acks.release()
    await settle()
    assert world.done == [0]


async def another_turn_is_another_send(world: World) -> None:
    courier = await world.recovered()
    await world.give(courier, due(turn=1))
    await world.give(courier, due(turn=2))
    await world.give(courier, due(turn=1, birth=8))
    assert world.channel.ids() == ["m", "m", "m"]


async def never_early(world: World) -> None:
    courier = await world.recovered()
    soon, far = at(NOW_MS + CLOCK_SKEW_MS), at(NOW_MS + CLOCK_SKEW_MS + 1)
    await world.give(courier, due("soon", due_at=soon), due("far", due_at=far))
    assert world.channel.ids() == []
    until = Deferred(until=far, reason="by this courier's clock it is not due yet")
    assert world.results() == [until]
    await world.clock.advance(CLOCK_SKEW_MS - 1)
    assert world.channel.ids() == []
    await world.clock.advance(1)
    assert world.channel.ids() == ["soon"]


async def expired_is_not_sent(world: World) -> None:
    courier = await world.recovered()
    await world.give(courier, due(expires_at=at(NOW_MS)))
    assert world.channel.ids() == []
    assert world.results() == [Expired()]


async def stale_is_not_sent(world: World) -> None:
    courier = await world.recovered()
    await world.give(courier, due(emitted_at=at(NOW_MS - 20 * 60_000 - 1)))
    assert world.channel.ids() == []
    assert world.results() == [Stale()]
    assert world.recorded() == []
    assert world.done == [0]


async def void_drop_keeps_the_doubt(world: World) -> None:
    """A former courier may have begun what is void now; the newer owner's emission of that turn must say so."""
    memory = FakeMemory()
    memory.epochs[1] = 5
    world.channel.script["m"] = LATER
    world.lay(due(epoch=4))
    courier = await world.recovered(memory)
    world.feed(courier, 0)
    await settle()
    courier.abandon()
    await world.give(await world.recovered(), fence(5), due(epoch=5))
    assert world.results() == [RetryLater(reason="503", maybe_sent=True)]


def passes_quietly(courier: Any, offset: int, passed: Any) -> None:
    courier.memory.epochs[passed.partition] = passed.epoch
    courier.in_hand.finish({offset: 1})


class AckedTooSoon(AckWriter):
    def add(self, acks: list[bytes], then: Callable[[], None]) -> None:
        then()
        super().add(acks, lambda: None)


class DeafToClaims(CourierPartition):
    def __init__(self, **wiring: Any) -> None:
        super().__init__(**wiring)
        self._log.is_newer_claim = lambda _: False  # type: ignore[method-assign]


Scene = Callable[[World], Awaitable[None]]
CASES: list[tuple[str, Scene, Callable[[], World]]] = [
    ("fence", void_after_a_fence, lambda: World(without("is_void", lambda *_: False))),
    ("fence_memory", epoch_over_a_restart, lambda: World(without("_pass_fence", passes_quietly))),
    ("reack", repeat_is_acked_again, lambda: World(without("ack_again", lambda c, o, *_: c.in_hand.finish({o: 1})))),
    (
        "record_all",
        refusal_is_remembered,
        lambda: World(
            without(
                "recorded",
                lambda c, keys: [r if r and type(r.result) is Delivered else None for r in c.memory.get_many(keys)],
            )
        ),
    ),
    ("one_at_a_time", repeat_in_flight_waits, lambda: World(without("is_in_flight", lambda *_: False))),
    ("taken_over", taken_over_is_in_doubt, lambda: World(without("was_taken_over", lambda *_: False))),
    ("courier_claim", dead_couriers_outcome_is_void, lambda: World(DeafToClaims)),
    (
        "courier_claim at loading",
        dead_couriers_outcome_is_void,
        lambda: World(without("is_void_outcome", lambda *_: False)),
    ),
    ("courier_lease", zombie_starts_nothing, lambda: World(without("may_start", lambda c: c.state == "running"))),
    ("courier_lease for acks", zombie_acks_nothing, lambda: World(without("may_ack", lambda c: c.state != "gone"))),
    ("ack_then_commit", done_after_the_ack, partial(World, ack_writer=AckedTooSoon)),
    ("turn and birth", another_turn_is_another_send, lambda: World(without("key_of", lambda _, m: m.key))),
    ("G2", never_early, lambda: World(without("is_early", lambda *_: False))),
    ("expiry", expired_is_not_sent, lambda: World(without("has_expired", lambda *_: False))),
    ("stale", stale_is_not_sent, lambda: World(without("is_stale", lambda *_: False))),
    (
        "doubt of void ones",
        void_drop_keeps_the_doubt,
        lambda: World(without("_drop_void", lambda c, o, _: c.in_hand.finish({o: 1}))),
    ),
]


@pytest.mark.parametrize(("name", "scene", "crippled"), CASES, ids=[name for name, *_ in CASES])
async def test_the_rule_holds(name: str, scene: Scene, crippled: Callable[[], World]) -> None:
    world = World()
    await scene(world)
    assert world.broken == []


@pytest.mark.parametrize(("name", "scene", "crippled"), CASES, ids=[name for name, *_ in CASES])
async def test_without_its_guard_it_does_not(name: str, scene: Scene, crippled: Callable[[], World]) -> None:
    with pytest.raises(AssertionError):
        await scene(crippled())


async def test_a_fence_is_done_only_when_its_epoch_is_durable() -> None:
    world = World()
    courier = await world.recovered()
    world.outcomes.held = True
    await world.give(courier, fence(5))
    assert world.done == []
    world.outcomes.release()
    await settle()
    assert world.done == [0]
    assert world.outcomes.decoded(read_outcome)[1:] == [EpochSeen(claim=0, partition=1, epoch=5)]
