"""A courier that lost its write or its lease, and the next one of its partition in the same process."""

from typing import Any

import pytest
from courier_world import World, due
from fakes import FakeMemory, settle

from agents import due_inbox
from agents.courier import NEVER_KNOWN, CourierPartition
from agents.courier_memory import claim_record
from agents.ports import Record
from agents.send_pool import SendPool
from agents.unrecorded import Unrecorded
from schemas.outcomes import Delivered, OutcomeRecord, RetryLater, Started, Unknown, outcome_key
from schemas.times import at
from schemas.wire import encode


class Process:
    """One process: its pool and memory outlive couriers."""

    def __init__(self, **channel: Any) -> None:
        self.world = World(**channel)
        self.memory, self.unrecorded = FakeMemory(), Unrecorded()
        self.pool = SendPool(self.world.channel, self.world.clock, self.world.broken.append, flows=self.world.flows)

    def courier(self) -> CourierPartition:
        return self.world.courier(self.memory, self.pool, self.unrecorded)

    async def begin(self) -> CourierPartition:
        courier = self.courier()
        await courier.recover()
        await settle()
        return courier

    async def mend(self, former: CourierPartition) -> CourierPartition:
        self.world.outcomes.broken = False
        courier = self.courier()
        courier.inherit(former)
        await courier.recover()
        await settle()
        return courier


async def test_what_was_sent_and_not_recorded_is_recorded_by_the_next_and_not_sent_again() -> None:
    process = Process()
    world = process.world
    first = await process.begin()
    world.outcomes.broken = True
    offset = await world.give(first, due())
    assert (first.ended, world.recorded(), world.channel.ids()) == ("broken", [], ["m"])
    await process.mend(first)
    assert (world.channel.ids(), world.recorded()) == (["m"], [Delivered()])
    assert (set(map(type, world.results())), world.done) == ({Delivered}, [offset])


async def test_a_send_under_way_is_gone_on_with() -> None:
    process = Process()
    world = process.world
    world.channel.hold("m")
    first = await process.begin()
    offset = await world.give(first, due())
    world.outcomes.broken = True
    await world.give(first, due("other"))
    assert first.ended == "broken"
    await process.mend(first)
    assert (world.channel.ids(), {ack.id for ack in world.acked()}) == (["m", "other"], {"other"})
    world.channel.release("m")
    await settle()
    assert (world.channel.ids(), world.recorded(), world.done) == (["m", "other"], [Delivered()] * 2, [offset, 1])


async def test_a_send_that_ends_between_two_couriers_is_known_to_the_second() -> None:
    process = Process()
    world = process.world
    world.channel.hold("m")
    first = await process.begin()
    offset = await world.give(first, due())
    first.let_go("lease lost")
    world.channel.release("m")
    await settle()
    assert world.recorded() == []
    await process.mend(first)
    assert (world.channel.ids(), world.recorded(), world.done) == (["m"], [Delivered()], [offset])


async def test_two_couriers_in_a_row_may_fail() -> None:
    process = Process()
    world = process.world
    first = await process.begin()
    world.outcomes.broken = True
    await world.give(first, due())
    second = process.courier()
    second.inherit(first)
    second.start()
    await settle()
    assert second.ended == "broken"
    await process.mend(second)
    assert (world.channel.ids(), world.recorded(), world.done) == (["m"], [Delivered()], [0])


async def test_what_was_refused_meanwhile_may_have_been_sent_by_another_process_too() -> None:
    process = Process()
    world = process.world
    world.channel.script["m"] = RetryLater(reason="503")
    first = await process.begin()
    world.outcomes.broken = True
    await world.give(first, due())
    await process.mend(first)
    assert world.recorded() == [RetryLater(reason="503", maybe_sent=True)]


async def test_what_another_process_has_recorded_stands() -> None:
    theirs = RetryLater(reason="theirs")
    process = Process()
    world, message = process.world, due()
    first = await process.begin()
    world.outcomes.broken = True
    await world.give(first, message)
    claim = world.outcomes.land(claim_record("another"))
    known = OutcomeRecord(
        claim=claim, key=message.key, birth=message.birth, turn=message.turn, due_at=message.due_at,
        finished_at=at(world.clock.ms), result=theirs,
    )  # fmt: skip
    key = outcome_key(message.key, message.birth, message.turn).encode()
    world.outcomes.land(Record(key, encode(known)))
    await process.mend(first)
    assert world.results() == [theirs]
    assert world.recorded() == [theirs]


@pytest.mark.parametrize("noted_by_another", [False, True])
async def test_where_no_key_is_honoured_a_note_of_another_process_leaves_it_in_doubt(noted_by_another: bool) -> None:
    process = Process(honours_key=False)
    world, message = process.world, due()
    world.channel.hold("m")
    first = await process.begin()
    await world.give(first, message)
    first.let_go("lease lost")
    world.channel.release("m")
    await settle()
    if noted_by_another:
        claim = world.outcomes.land(claim_record("another"))
        note = Started(
            claim=claim, key=message.key, birth=message.birth, turn=message.turn, due_at=message.due_at,
            at=at(world.clock.ms),
        )  # fmt: skip
        key = outcome_key(message.key, message.birth, message.turn).encode()
        world.outcomes.land(Record(key, encode(note)))
    await process.mend(first)
    assert world.channel.ids() == ["m"]
    assert world.results()[-1] == (Unknown(reason=NEVER_KNOWN) if noted_by_another else Delivered())


async def test_what_waited_for_its_note_never_began_and_is_sent_by_the_next() -> None:
    process = Process(honours_key=False)
    world = process.world
    first = await process.begin()
    world.outcomes.held = True
    await world.give(first, due())
    world.outcomes.broken = True
    world.outcomes.release()
    await settle()
    assert (first.ended, world.channel.ids()) == ("broken", [])
    await process.mend(first)
    assert (world.channel.ids(), world.results(), world.done) == (["m"], [Delivered()], [0])


async def test_what_no_courier_remembers_any_more_is_forgotten() -> None:
    process = Process()
    world = process.world
    first = await process.begin()
    world.outcomes.broken = True
    await world.give(first, due())
    process.unrecorded.forget(world.clock.ms + 1)
    await process.mend(first)
    assert world.channel.ids() == ["m", "m"]


async def test_a_stream_that_has_run_ahead_does_not_hold_up_the_reading_of_what_it_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(due_inbox, "FED_BYTES_MAX", 1)
    world = World()
    courier = await world.recovered()
    await settle()
    for n in range(5):
        world.lay(due(f"m{n}"))
    world.feed(courier, 4)
    await settle()
    assert (world.channel.ids(), world.done) == ([f"m{n}" for n in range(5)], [4])


async def test_what_the_stream_does_not_bring_is_read_from_the_log() -> None:
    world = World()
    courier = await world.recovered()
    await settle()
    world.lay(due())
    await world.clock.advance(3_000)
    assert world.channel.ids() == []  # the stream may just be slow
    await world.clock.advance(3_000)
    assert (world.channel.ids(), world.done, courier.done_before()) == (["m"], [], 1)
    world.feed(courier, 0)
    assert (world.channel.ids(), world.done) == (["m"], [0])


async def test_what_is_done_and_comes_again_at_length_holds_up_nothing() -> None:
    world = World()
    for n in range(20):
        world.lay(due(f"m{n}"))
    world.done.extend(range(20))
    courier = await world.recovered()
    await settle()
    world.done.clear()
    world.lay(due("new"))
    for offset in range(8):
        world.feed(courier, offset)
        await world.clock.advance(1_000)
    assert (world.channel.ids(), world.done) == (["new"], list(range(8)))
