"""Each alert fires when its fault is made: real workers, a real Prometheus with the rules of deploy/, real faults.

Two times of the scheduler are shortened, so that the test takes a minute and not twenty: an emission counts as un-acked
after 5 s (15 min), a run of a schedule as missed after 2 s (1 min). The last test stops the broker: no other comes after it.
"""

import os
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import pytest_asyncio
from real_prometheus import PROGRAM, Prometheus
from system import System, new_id, now_ms, until
from system_process import RUN
from system_receiver import Reply

from schemas.commands import Create
from schemas.schedule import NewDefinition
from schemas.schedule_commands import SchedulePut, ScheduleRemove
from topology.embedded_kafka import EmbeddedKafka
from topology.embedded_postgres import EmbeddedPostgres
from topology.embedded_process import free_port

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed (Debian: apt-get install prometheus)"),
]
UNACKED_MS, MISSED_MS = 5_000, 2_000
SOONER = (
    "import functools, agents.spout, topology.scheduler as made; "
    f"agents.spout.REEMIT_MS = {UNACKED_MS}; made.Policy = functools.partial(made.Policy, late_ms={MISSED_MS}); "
)
UNANSWERED = """
import asyncio, aiokafka
async def never(*_):
    await asyncio.Event().wait()
aiokafka.AIOKafkaConsumer.commit = never
"""
CUT_OFF = """
import asyncio, signal, aiokafka.conn
def cut(*_):
    aiokafka.conn.AIOKafkaConnection.send = lambda *_, **__: asyncio.get_running_loop().create_future()
signal.signal(signal.SIGRTMIN, cut)
"""
FAR_MS = 3_600_000
BEHIND = 10_500


class World(NamedTuple):
    """A system with everything that an alert is about."""

    system: System
    kafka: EmbeddedKafka
    postgres: EmbeddedPostgres
    prometheus: Prometheus


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    directory = tmp_path_factory.mktemp("alerts")
    async with AsyncExitStack() as stack:
        kafka = await stack.enter_async_context(EmbeddedKafka(directory / "kafka"))
        data = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="clepsydra-postgres-", ignore_cleanup_errors=True)
        )
        postgres = await stack.enter_async_context(EmbeddedPostgres(Path(data)))
        system = System(kafka.bootstrap, directory, postgres=postgres.url, max_in_flight=100)
        ports = [free_port() for _ in range(3)]
        scheduler, courier, archivist = ({"CLEPSYDRA_HEALTH_PORT": str(port)} for port in ports)
        command = [sys.executable, "-c", SOONER + RUN.format("scheduler")]
        system.scheduler = system.worker("scheduler", command=command, **scheduler)
        system.courier = system.worker(
            "courier", CLEPSYDRA_SESSION_TIMEOUT="60", CLEPSYDRA_REQUEST_TIMEOUT="120", **courier
        )
        system.archivist = system.worker("archivist", **archivist)
        await stack.enter_async_context(system)
        prometheus = Prometheus(directory / "prometheus", ports)
        stack.callback(prometheus.close)
        await prometheus.start()
        yield World(system, kafka, postgres, prometheus)


async def accepted(system, messages):
    answers = await system.insist(Create(command_id=new_id(), message=m, allow_past=True) for m in messages)
    assert {a.result for a in answers.values()} == {"accepted"}


async def test_where_all_is_well_nothing_fires(world):
    system, prometheus = world.system, world.prometheus
    ids = [new_id() for _ in range(50)]
    await accepted(system, [system.message(id_) for id_ in ids])
    await system.all_in("delivered", ids)

    async def scraped():
        found = await prometheus.ask("query", query='clepsydra_deliveries_total{outcome="delivered"} >= 50')
        return found["result"]

    await until(scraped)
    looked = now_ms()
    await until(lambda: now_ms() > looked + 2_500)  # rules are evaluated each half second, `for` is one
    assert await prometheus.firing() == set()


async def test_deliveries_that_are_given_up(world):
    ids = [new_id("dead") for _ in range(30)]
    world.system.receiver.script |= {id_: [Reply(400)] for id_ in ids}
    await accepted(world.system, [world.system.message(id_) for id_ in ids])
    await world.prometheus.fires("ClepsydraDeadLetters")


async def test_a_row_that_a_former_owner_wrote(world):
    """It comes after a newer claim: the valid row stands, and is written over it."""
    system = world.system
    id_ = new_id("zombie")
    await accepted(system, [system.message(id_, 3_600)])
    (row,) = [r for r in await system.read(system.names.timetable) if r.key == id_.encode()]
    assert (await system.edit(id_, priority=9)).revision == 2
    older = msgspec.json.encode(msgspec.json.decode(row.value) | {"epoch": 0})
    await system.produce(system.names.timetable, older, partition=system.partition(id_), key=row.key)
    await world.prometheus.fires("ClepsydraZombieWrites")
    assert (await system.look(id_)).view.revision == 2


async def test_a_courier_that_stands_still(world):
    """More is due than may be in flight; what is in flight gets no ack; what it sends once it goes on is late."""
    system, prometheus = world.system, world.prometheus
    system.courier.freeze()
    frozen = now_ms()
    ids = [new_id("late") for _ in range(300)]
    await accepted(system, [system.message(id_) for id_ in ids])
    await prometheus.fires("ClepsydraWaiting")
    await prometheus.fires("ClepsydraUnacked")
    await until(lambda: now_ms() > frozen + 7_000)
    system.courier.thaw()
    await prometheus.fires("ClepsydraLate")
    await system.all_in("delivered", ids)


async def test_an_archive_that_is_away(world):
    system = world.system
    world.postgres.kill()
    due = now_ms() + FAR_MS
    await accepted(system, [system.message(f"far-{n}", due_ms=due) for n in range(BEHIND)])
    await world.prometheus.fires("ClepsydraArchiveBehind")
    await world.postgres.start()

    async def over():
        return "ClepsydraArchiveBehind" not in await world.prometheus.firing()

    await until(over, 30, system.archivist.text)


async def test_a_scheduler_that_is_gone(world):
    """Its partitions have no owner; the runs of a schedule whose time passes meanwhile are missed."""
    system, prometheus = world.system, world.prometheus
    message = {"channel": "webhook", "to": system.receiver.url, "body": {"due_ms": 0}}
    given = {"recurrence": {"every": "PT1S"}, "missed": "skip", "message": message}
    definition = msgspec.json.decode(msgspec.json.encode(given), type=NewDefinition)
    await system.ask(SchedulePut(command_id=new_id(), id="beat", definition=definition))
    await until(lambda: any(id_.startswith("beat@") for id_ in system.receiver.ids()))
    assert "ClepsydraOccurrenceMissed" not in await prometheus.firing()
    system.scheduler.kill()
    killed = now_ms()
    await prometheus.fires("ClepsydraPartitionWithoutOwner")
    await prometheus.fires("ClepsydraDown")
    await until(lambda: now_ms() > killed + 2 * MISSED_MS)
    system.scheduler.start()
    await system.owned()
    await prometheus.fires("ClepsydraOccurrenceMissed")
    await system.ask(ScheduleRemove(command_id=new_id(), id="beat"))


async def test_a_scheduler_that_is_cut_off_from_the_brokers(world, tmp_path):
    """It hears of nothing, so it does not know that another has its partitions now."""
    system = world.system
    assert await system.scheduler.stop() == 0, system.scheduler.text()[-3000:]
    ports = [free_port() for _ in range(2)]
    command = [sys.executable, "-c", CUT_OFF + RUN.format("scheduler")]
    cut_off, other = (
        system.keep(system.worker("scheduler", f"scheduler-{port}", command=command, CLEPSYDRA_HEALTH_PORT=str(port)))
        for port in ports
    )
    prometheus = Prometheus(tmp_path / "prometheus", ports)
    try:
        await prometheus.start()
        shared = "count(clepsydra_owned_partitions == 1) == 2"

        async def each_has_one():
            found = await prometheus.ask("query", query=shared)
            return found["result"]

        await until(each_has_one, 30, lambda: cut_off.text()[-1500:] + other.text()[-1500:])
        os.kill(cut_off.pid, signal.SIGRTMIN)
        await prometheus.fires("ClepsydraPartitionOwnedTwice", 30)
        await prometheus.fires("ClepsydraLeaseLost")
    finally:
        prometheus.close()
        cut_off.kill()
        other.kill()
    system.scheduler.start()
    await system.owned()


async def test_commits_that_do_not_move(world):
    """A courier whose commits are never answered: it sends and finishes, and who comes after it would begin anew."""
    system = world.system
    assert await system.courier.stop() == 0, system.courier.text()[-3000:]
    system.courier.command = [sys.executable, "-c", UNANSWERED + RUN.format("courier")]
    system.courier.start()
    id_ = new_id("stuck")
    await accepted(system, [system.message(id_)])
    await system.all_in("delivered", [id_])
    await world.prometheus.fires("ClepsydraStandsStill", 90)


async def test_a_broker_that_does_not_answer(world):
    os.kill(world.kafka.pid, signal.SIGSTOP)
    try:
        await world.prometheus.fires("ClepsydraLeaseLost")
    finally:
        os.kill(world.kafka.pid, signal.SIGCONT)
