"""Restarts in peace: what the disk saves, what Kafka's group knows, and that neither is needed to decide right."""

import shutil
import sys
from collections import Counter

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import PolicyViolationError
from aiokafka.structs import OffsetAndMetadata
from system import System, new_id, now_ms, until
from system_process import RUN

from schemas.commands import Create, Look
from topology.world import all_topics

HOUR_MS = 3_600_000
HANGS = """
import asyncio
from topology.courier import CourierGrants
async def never(_):
    await asyncio.Event().wait()
CourierGrants.stop = never
"""


async def test_a_warm_restart_reads_only_what_came_after(make_system):
    async with make_system() as system:
        before = await _schedule(system, 200)
        assert await system.scheduler.stop() == 0
        await _forget_log_so_far(system)
        await _restart(system, stopped=True)
        assert set((await system.states(before)).values()) == {"scheduled"}, "they can only be known from the mirror"
        assert system.scheduler.told("mirror_rebuilt") == []
        after = await _schedule(system, 50)
        system.scheduler.kill()
        await _restart(system, stopped=True)
        assert set((await system.states(before + after)).values()) == {"scheduled"}


async def test_a_worker_whose_connections_do_not_close_ends_all_the_same(make_system):
    async with make_system(start=False) as system:
        system.courier.command = [sys.executable, "-c", HANGS + RUN.format("courier")]
        system.scheduler.start()
        system.courier.start()
        ids = [new_id() for _ in range(20)]
        await system.insist(Create(command_id=new_id(), message=system.message(id_, in_s=1)) for id_ in ids)
        await system.all_in("delivered", ids)
        assert await system.courier.stop() == 0
        assert system.courier.told("stop_cut_short")
        assert set((await system.states(ids)).values()) == {"delivered"}


async def test_a_cold_start_and_a_start_with_a_foreign_mirror_read_it_all_again(make_system, tmp_path):
    async with make_system() as system:
        ids = await _schedule(system, 200)
        assert await system.scheduler.stop() == 0
        mirrors = system.settings.data / "scheduler-0"
        shutil.copytree(mirrors, tmp_path / "foreign")
        shutil.rmtree(mirrors)
        await _restart(system, stopped=True)
        assert set((await system.states(ids)).values()) == {"scheduled"}

        async with System(system.settings.brokers, tmp_path / "other", start=False) as other:
            shutil.copytree(tmp_path / "foreign", other.settings.data / "scheduler-0")
            await _restart(other, stopped=True)
            assert set((await other.states(ids)).values()) == {"None"}
            reasons = {str(line["reason"]) for line in other.scheduler.told("mirror_rebuilt")}
            for store in ("the mirror", "the table of schedules"):
                told = [why for why in reasons if why.startswith(store) and "the topic was made anew" in why]
                assert len(told) == other.settings.partitions


async def test_the_same_id_is_answered_the_same_after_delivery_and_after_restarts(make_system):
    async with make_system() as system:
        message = system.message(new_id(), in_s=0.2)
        first = await system.create(message)
        await system.all_in("delivered", [message.id])
        for _ in range(2):
            again = await system.create(message)
            assert (again.result, again.due_at, again.revision, again.repeated) == ("accepted", first.due_at, 1, True)
            other = await system.create(system.message(message.id, due_ms=now_ms()))
            assert other.result == "conflict"
            assert await system.scheduler.stop() == 0
            await _restart(system, stopped=True)
        assert len(system.receiver.of(message.id)) == 1


async def test_a_repeated_command_gets_its_answer_again_whatever_has_happened_since(make_system):
    async with make_system() as system:
        message = system.message(new_id(), in_s=0.2)
        create = Create(command_id=new_id(), message=message)
        assert (await system.ask(create)).state == "scheduled"
        await system.all_in("delivered", [message.id])
        await _restart(system)
        again = await system.ask(create)
        assert (again.result, again.state, again.repeated) == ("accepted", "scheduled", True)


@pytest.mark.parametrize("place_of", [lambda _end: 0, lambda end: end + 1_000], ids=["set back", "ahead of the log"])
async def test_group_offsets_wherever_they_stand_decide_nothing_anew_and_hide_nothing(make_system, place_of):
    async with make_system() as system:
        sent = await _schedule(system, 300, in_s=0.5)
        pending = await _schedule(system, 100)
        cancelled = pending[:50]
        assert {(await system.cancel(id_)).result for id_ in cancelled} == {"cancelled"}
        await system.all_in("delivered", sent)
        events = 300 * 3 + 100 + 50 * 2
        await until(lambda: _events_are(system, events), 20)
        for worker in (system.scheduler, system.courier):
            assert await worker.stop() == 0
        await _set_groups(system, place_of)
        system.courier.start()
        await _restart(system, stopped=True)
        more = await _schedule(system, 50, in_s=0.5)
        await system.received(more)
        await system.all_in("delivered", [*sent, *more])
        assert set((await system.states(cancelled)).values()) == {"cancelled"}
        await until(lambda: _events_are(system, events + 3 * len(more)), 20)
        assert system.receiver.repeats() == {}
        assert len(system.receiver.arrivals) == 350


async def test_committed_offsets_follow_so_that_tools_see_the_lag(make_system):
    async with make_system() as system:
        await system.all_in("delivered", await _schedule(system, 300, in_s=0.5))
        await _restart(system)
        await system.all_in("delivered", await _schedule(system, 300, in_s=0.5))
        await until(system.no_lag, 15, lambda: "the groups' offsets stand still")


async def _schedule(system: System, count: int, in_s: float = HOUR_MS / 1000) -> list[str]:
    ids = [new_id() for _ in range(count)]
    answers = await system.insist(Create(command_id=new_id(), message=system.message(i, in_s)) for i in ids)
    assert {a.result for a in answers.values()} == {"accepted"}
    return ids


async def _restart(system: System, *, stopped: bool = False) -> None:
    if not stopped:
        assert await system.scheduler.stop() == 0
    system.scheduler.start()
    await system.owned()
    await system.insist([Look(command_id=new_id(), id="anything")])


async def _forget_log_so_far(system: System) -> None:
    """As compaction and retention would, only more: all rows so far are gone from the log."""
    admin = AIOKafkaAdminClient(bootstrap_servers=system.settings.brokers)
    await admin.start()
    try:
        topic = next(spec for spec in all_topics(system.settings) if spec.name == system.names.timetable)
        places = [TopicPartition(topic.name, n) for n in range(system.settings.partitions)]
        for policy in ("compact,delete", "compact"):
            configs = topic.configs | {"cleanup.policy": policy}
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=configs)])
            if policy == "compact,delete":
                await until(lambda: _deleted(admin, places), 20)
    finally:
        await admin.close()


async def _deleted(admin: AIOKafkaAdminClient, places: list[TopicPartition]) -> bool:
    try:
        await admin.delete_records({place: RecordsToDelete(before_offset=-1) for place in places})
    except PolicyViolationError:  # the broker has not heard of the new policy yet
        return False
    return True


async def _set_groups(system: System, place_of) -> None:
    for group, topics in system.groups().items():
        async with AIOKafkaConsumer(
            bootstrap_servers=system.settings.brokers, group_id=group, enable_auto_commit=False
        ) as consumer:
            places = [TopicPartition(topic, n) for topic in topics for n in range(system.settings.partitions)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            await consumer.commit({place: OffsetAndMetadata(place_of(end), "") for place, end in ends.items()})


async def _events_are(system: System, count: int) -> bool:
    """Whether there were so many transitions; those that an ack tells again have their ids again, what a command did is told once."""
    ids = Counter(msgspec.json.decode(record.value)["event_id"] for record in await system.read(system.names.events))
    assert len(ids) <= count
    told_again = {event_id for event_id, times in ids.items() if times > 1}
    assert [i for i in told_again if not i.endswith("!delivered") and "!finished!" not in i] == []
    return len(ids) == count
