"""How a courier starts, stops, breaks and takes over; channels that honour no key; records that cannot be read."""

import asyncio
from typing import Any

import msgspec
import pytest
from courier_world import World, due, fence, key, pack
from fakes import NOW_MS, FakeMemory, settle

from agents import due_inbox
from agents.courier import NEVER_KNOWN, CourierPartition
from agents.courier_memory import MemoryAheadError, claim_record, done_record
from agents.deliver import make_deliver
from agents.ports import LogBrokenError, Record
from schemas.events import Unreadable
from schemas.outcomes import CourierClaim, Delivered, DoneBefore, EpochSeen, OutcomeRecord, RetryLater, Started, Unknown
from schemas.times import at
from schemas.wire import NewerRecordError, encode, read_outcome


def outcome(claim: int, id_: str = "m", at_ms: int = NOW_MS, result: Any = None) -> OutcomeRecord:
    m = due(id_)
    return OutcomeRecord(
        claim=claim,
        key=m.key,
        birth=m.birth,
        turn=m.turn,
        due_at=m.due_at,
        finished_at=at(at_ms),
        result=result or Delivered(),
    )


def laid(record: OutcomeRecord) -> Record:
    return Record(f"{record.key}!{record.birth}!{record.turn}".encode(), encode(record))


class TestKeylessChannels:
    async def test_a_send_begins_after_its_note_is_durable(self) -> None:
        world = World(honours_key=False)
        courier = await world.recovered()
        world.outcomes.held = True
        await world.give(courier, due())
        assert world.channel.ids() == []
        world.outcomes.release()
        await settle()
        m = due()
        note = Started(claim=0, key=m.key, birth=m.birth, turn=m.turn, due_at=m.due_at, at=at(NOW_MS))
        assert world.outcomes.decoded(read_outcome)[1] == note
        assert (world.channel.ids(), world.results(), world.done) == (["m"], [Delivered()], [0])

    async def test_a_courier_that_loses_its_lease_while_it_notes_begins_nothing(self) -> None:
        world = World(honours_key=False)
        courier = await world.recovered()
        world.outcomes.held = True
        await world.give(courier, due())
        world.has_lease = False
        world.outcomes.release()
        await settle()
        assert world.channel.ids() == []

    @pytest.mark.parametrize("warm", [True, False])
    async def test_what_was_noted_and_never_told_is_unknown(self, warm: bool) -> None:
        world, memory = World(honours_key=False), FakeMemory()
        world.channel.hold("m")
        first = await world.recovered(memory)
        offset = await world.give(first, due())
        first.abandon()
        second = await world.recovered(memory if warm else None)
        world.feed(second, offset)
        await settle()
        assert world.channel.ids() == ["m"]
        assert world.results() == world.recorded() == [Unknown(reason=NEVER_KNOWN)]

    async def test_what_was_taken_over_without_a_note_was_never_begun(self) -> None:
        world = World(honours_key=False)
        world.lay(due())
        courier = await world.recovered()
        world.feed(courier, 0)
        await settle()
        assert (world.channel.ids(), world.results()) == (["m"], [Delivered()])

    async def test_a_lost_response_is_unknown_not_retried(self) -> None:
        world = World(honours_key=False)
        world.channel.script["m"] = RetryLater(reason="reset", maybe_sent=True)
        await world.give(await world.recovered(), due())
        assert world.results() == [Unknown(reason="reset")]


class TestTakingOver:
    async def test_a_cold_start_knows_valid_outcomes_of_the_last_20_minutes(self) -> None:
        world, memory = World(), FakeMemory()
        world.outcomes.land(claim_record("a"))
        world.clock.ms = NOW_MS - 21 * 60_000
        world.outcomes.land(laid(outcome(0, "forgotten", world.clock.ms)))
        world.clock.ms = NOW_MS
        world.outcomes.land(laid(outcome(0)), claim_record("b"), laid(outcome(0, "void")), laid(outcome(3, "valid")))
        await world.recovered(memory)
        assert memory.outcomes.keys() == {key(due()), key(due("valid"))}
        assert (memory.claim, memory.applied) == (6, 7)

    async def test_void_records_are_written_over_before_compaction_can_choose_them(self) -> None:
        world = World()
        void = Record(b"!epoch/1", encode(EpochSeen(claim=0, partition=1, epoch=1)))
        world.outcomes.land(
            claim_record("a"), claim_record("b"), Record(b"!epoch/1", encode(EpochSeen(claim=1, partition=1, epoch=5)))
        )
        world.outcomes.land(laid(outcome(1)), laid(outcome(0)), void)
        courier = await world.recovered()
        await settle()
        assert world.outcomes.decoded(read_outcome)[7:] == [EpochSeen(claim=6, partition=1, epoch=5), outcome(6)]
        late = world.outcomes.land(laid(outcome(1)))
        await world.give(courier, due("other", epoch=5))
        assert world.outcomes.decoded(read_outcome)[late + 2 :] == [outcome(6)]

    async def test_what_was_done_is_passed_over_though_the_group_forgot_its_offset(self) -> None:
        world = World()
        first = await world.recovered()
        await world.give(first, due("a"))
        await world.give(first, due("b"))
        first.abandon()
        world.done.clear()
        second = await world.recovered(FakeMemory())
        assert second.done_before() == 1  # as far as was known when the last outcome was written
        for offset in (0, 1):
            world.feed(second, offset)
        await settle()
        assert (world.channel.ids(), [ack.id for ack in world.acked()], world.done) == (
            ["a", "b"],
            ["a", "b", "b"],
            [0, 1],
        )

    @pytest.mark.parametrize(("log", "offset"), [("another", 1), ("", 9)])
    async def test_how_far_another_log_was_done_says_nothing(self, log: str, offset: int) -> None:
        world = World()
        world.outcomes.land(done_record(DoneBefore(log=log, offset=offset)))
        world.lay(due())
        courier = await world.recovered()
        await settle()
        assert (courier.done_before(), world.channel.ids()) == (1, ["m"])

    async def test_a_memory_of_another_log_is_refused(self) -> None:
        memory = FakeMemory()
        memory.applied = 9
        with pytest.raises(MemoryAheadError):
            await World().recovered(memory)

    async def test_records_fed_before_recovery_wait_for_it(self) -> None:
        world = World()
        courier = world.courier()
        await world.give(courier, due())
        assert world.channel.ids() == []
        courier.start()
        await settle()
        assert (world.channel.ids(), world.done) == (["m"], [0])

    async def test_an_idle_courier_notices_a_newer_claim_within_a_second(self) -> None:
        world = World()
        courier = await world.recovered()
        await settle()
        world.outcomes.land(claim_record("newer"))
        await world.clock.advance(1_000)
        assert (courier.ended, world.broken) == ("claim lost", [])

    async def test_what_is_older_than_20_minutes_is_forgotten(self) -> None:
        world, memory = World(), FakeMemory()
        await world.give(await world.recovered(memory), due())
        await world.clock.advance(20 * 60_000)
        assert memory.outcomes.keys() == {key(due())}
        await world.clock.advance(60_000)
        assert memory.outcomes == {}


class TestLettingGo:
    async def test_stop_finishes_what_is_being_sent_and_starts_nothing(self) -> None:
        world = World(concurrency=1)
        world.channel.hold("m")
        courier = await world.recovered()
        await world.give(courier, due(), due("waiting"))
        stopping = asyncio.create_task(courier.stop())
        await settle()
        world.channel.release("m")
        await settle()
        await world.clock.advance(50)
        await stopping
        assert (world.channel.ids(), world.results(), courier.ended) == (["m"], [Delivered()], "stopped")

    async def test_stop_waits_no_longer_than_the_timeout(self) -> None:
        world = World(timeout_ms=10_000)
        world.channel.hold("m")
        courier = await world.recovered()
        await world.give(courier, due())
        stopping = asyncio.create_task(courier.stop())
        await settle()
        await world.clock.advance(10_000)
        await stopping
        world.channel.release("m")
        await settle()
        assert (world.acked(), world.recorded(), world.done) == ([], [], [])

    @pytest.mark.parametrize("which", ["outcomes", "dead"])
    async def test_a_broken_log_is_told_and_nothing_is_done(self, which: str) -> None:
        world = World()
        courier = await world.recovered()
        getattr(world, which).broken = True
        world.due.land(Record(None, b"[1," + encode(due()) + b"]"))
        world.feed(courier, 0)
        await settle()
        assert [type(error) for error in world.broken] == [LogBrokenError]
        assert world.done == []

    async def test_acks_of_unknown_fate_are_written_again_until_they_are_there(self) -> None:
        world = World()
        courier = await world.recovered()
        world.acks.broken = True
        await world.give(courier, due())
        assert (world.done, world.broken) == ([], [])
        world.acks.broken = False
        async with asyncio.timeout(5):
            while not world.done:  # noqa: ASYNC110 - real time, the clock of the world stands
                await asyncio.sleep(0.01)
        assert (world.results(), courier.state) == ([Delivered()], "running")

    async def test_nothing_is_done_after_abandon(self) -> None:
        world = World()
        courier = await world.recovered()
        world.acks.held = True
        await world.give(courier, due())
        courier.abandon()
        world.acks.release()
        await settle()
        assert (world.done, courier.ended) == ([], "abandoned")


class TestUnreadable:
    @pytest.mark.parametrize(
        ("value", "elements", "sent"),
        [
            (b"[" + encode(due("a")) + b',{"kind":"due"},' + encode(due("b")) + b"]", [1], ["a", "b"]),
            (b"\xff no json", [None], []),
            (None, [None], []),
        ],
    )
    async def test_what_cannot_be_read_is_buried_and_passed(
        self, value: bytes | None, elements: list[Any], sent: list[str]
    ) -> None:
        world = World()
        courier = await world.recovered()
        courier.feed(0, value, lambda: world.done.append(0))
        await settle()
        letters = world.dead.decoded(msgspec.json.Decoder(Unreadable).decode)
        assert [(x.topic, x.partition, x.offset, x.element) for x in letters] == [
            ("due.log", 0, 0, n) for n in elements
        ]
        assert (world.channel.ids(), world.done, world.broken) == (sent, [0], [])

    async def test_a_newer_release_ends_the_process(self) -> None:
        world = World()
        courier = await world.recovered()
        courier.feed(0, pack(due()).replace(b'"v":1', b'"v":2'), lambda: world.done.append(0))
        await settle()
        assert [type(error) for error in world.broken] == [NewerRecordError]
        assert (world.channel.ids(), world.done, courier.ended) == ([], [], "broken")

    async def test_an_unreadable_outcome_is_buried_at_loading(self) -> None:
        world = World()
        world.outcomes.land(Record(b"x", b"{"))
        await world.recovered()
        assert [x.key for x in world.dead.stored] == [b"outcomes.log/0/0"]


class Event:
    """What Faust hands an agent."""

    def __init__(self, world: World, partition: int, offset: int, value: bytes) -> None:
        self.partition, self.offset, self.value, self._world = partition, offset, value, world

    @property
    def message(self) -> "Event":
        return self

    def ack(self) -> bool:
        self._world.done.append(self.offset)
        return True


class Stream:
    def __init__(self, *events: Event) -> None:
        self._events = events

    def noack(self) -> "Stream":
        return self

    async def events(self) -> Any:
        for event in self._events:
            yield event


class TestDeliver:
    async def test_events_are_acked_when_done_and_those_of_others_are_left(self) -> None:
        world = World()
        courier = await world.recovered()
        events = [
            Event(world, 0, world.lay(due("a")), pack(due("a"))),
            Event(world, 1, 4, pack(due("b"))),
            Event(world, 0, world.lay(fence(2)), pack(fence(2))),
        ]
        await make_deliver("log", {0: courier}.get, world.broken.append)(Stream(*events))
        await settle()
        assert (world.channel.ids(), world.done, world.broken) == (["a"], [0, 1], [])

    async def test_a_fault_in_the_body_is_told_not_raised(self) -> None:
        world, fault = World(), RuntimeError("no such thing")

        def partitions(_: int) -> CourierPartition | None:
            raise fault

        await make_deliver("log", partitions, world.broken.append)(Stream(Event(world, 0, 0, b"[]")))
        assert (world.broken, world.done) == ([fault], [])

    async def test_a_courier_that_recovers_slowly_holds_the_stream_back_before_memory_is_full(
        self, monkeypatch
    ) -> None:
        monkeypatch.setattr(due_inbox, "FED_BYTES_MAX", 8_000_000)
        world = World()
        courier = world.courier()
        large = due(to="x" * 1_000_000)
        body = pack(large)
        for _ in range(20):
            world.lay(large)
        fed = asyncio.create_task(
            make_deliver("log", {0: courier}.get, world.broken.append)(
                Stream(*(Event(world, 0, n, body) for n in range(20)))
            )
        )
        await settle()
        assert not fed.done()
        await courier.recover()
        await settle(500)
        assert fed.done()
        assert world.done == list(range(20))


def test_a_claim_names_its_courier() -> None:
    assert read_outcome(claim_record("me").value or b"") == CourierClaim(courier="me")
