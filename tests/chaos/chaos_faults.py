"""The faults, one coroutine each: it breaks something, keeps it broken for a while, and heals it. Drawn by seed."""

import asyncio
import os
import random
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import OffsetAndMetadata
from chaos_world import World
from system import until
from system_process import Worker

from topology.clients import client_arguments
from topology.world import all_topics

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
STEP_S = 180
FILLER = "filler"


class Unable(Exception):  # noqa: N818 - no error: a fault that cannot be made here
    """Why this fault cannot be made here."""


Make = Callable[[World, random.Random], Awaitable[None]]
FAULTS: dict[str, Make] = {}
KIND: dict[str, bool] = {}
"""Whether it can break off a send: then repeats of what was in hand are explained by it."""


def fault(*, excuses: bool) -> Callable[[Make], Make]:
    def taken(make: Make) -> Make:
        name = make.__name__
        FAULTS[name], KIND[name] = make, excuses
        return make

    return taken


def one(world: World, rng: random.Random, role: str) -> Worker:
    return rng.choice(world.of(role))


async def frozen(worker: Worker, seconds: float) -> None:
    worker.freeze()
    try:
        await asyncio.sleep(seconds)
    finally:
        worker.thaw()


@fault(excuses=False)
async def kill_scheduler(world: World, rng: random.Random) -> None:
    world.kill(one(world, rng, "scheduler"))


@fault(excuses=True)
async def kill_courier(world: World, rng: random.Random) -> None:
    world.kill(one(world, rng, "courier"))


@fault(excuses=False)
async def kill_gateway(world: World, rng: random.Random) -> None:
    world.kill(one(world, rng, "gateway"))


@fault(excuses=False)
async def kill_archivist(world: World, rng: random.Random) -> None:
    world.kill(one(world, rng, "archivist"))


@fault(excuses=False)
async def freeze_archivist(world: World, rng: random.Random) -> None:
    await frozen(one(world, rng, "archivist"), world.session_s + rng.uniform(1, 4))


@fault(excuses=False)
async def freeze_scheduler(world: World, rng: random.Random) -> None:
    """Past its session: edits and cancels are answered by its successor; then it wakes and believes that it still owns."""
    await frozen(one(world, rng, "scheduler"), world.session_s + rng.uniform(1, 4))


@fault(excuses=True)
async def freeze_courier(world: World, rng: random.Random) -> None:
    await frozen(one(world, rng, "courier"), world.session_s + rng.uniform(1, 4))


@fault(excuses=False)
async def freeze_gateway(world: World, rng: random.Random) -> None:
    await frozen(one(world, rng, "gateway"), rng.uniform(2, 5))


@fault(excuses=False)
async def blink_scheduler(world: World, rng: random.Random) -> None:
    """Frozen for less than its session: nobody notices but it."""
    await frozen(one(world, rng, "scheduler"), world.session_s * rng.uniform(0.3, 0.8))


@fault(excuses=True)
async def kill_broker(world: World, rng: random.Random) -> None:
    node = rng.choice(world.nodes)
    node.kill()
    await asyncio.sleep(rng.uniform(0, 5) if world.many else 0)
    await node.start()


@fault(excuses=True)
async def freeze_broker(world: World, rng: random.Random) -> None:
    await _freeze_broker(world, rng, rng.uniform(2, 5))


@fault(excuses=True)
async def freeze_broker_past_request_timeout(world: World, rng: random.Random) -> None:
    await _freeze_broker(world, rng, world.system.settings.request_timeout.total_seconds() + 4)


async def _freeze_broker(world: World, rng: random.Random, seconds: float) -> None:
    pid = rng.choice(world.nodes).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


@fault(excuses=False)
async def third_scheduler_joins_and_leaves(world: World, rng: random.Random) -> None:
    await _joins_and_leaves(world, rng, "scheduler")


@fault(excuses=False)
async def third_courier_joins_and_leaves(world: World, rng: random.Random) -> None:
    await _joins_and_leaves(world, rng, "courier")


async def _joins_and_leaves(world: World, rng: random.Random, role: str) -> None:
    third = world.workers.get(f"{role}-3")
    if third is None:
        third = world.begin(world.worker(role, f"{role}-3"))
    else:
        world.back(third)
    await world.ready(third)
    await asyncio.sleep(rng.uniform(0, 2))
    await world.stop(third)


@fault(excuses=False)
async def rolling_restart(world: World, _rng: random.Random) -> None:
    """Of every process, as a deploy does it: SIGTERM, start, wait until it has caught up, the next."""
    for worker in list(world.workers.values()):
        if worker.name in world.away:
            continue
        await world.stop(worker)
        world.back(worker)
        if worker.name == "gateway":
            await until(world.answers, 60)
        else:
            await world.ready(worker)


@fault(excuses=False)
async def zombie_then_compaction_then_cold_load(world: World, rng: random.Random) -> None:
    """A scheduler wakes after its successor has answered; then compaction chooses, and all is loaded from what it left."""
    await frozen(one(world, rng, "scheduler"), world.session_s + 2)
    await asyncio.sleep(3)
    await compacted(world)
    schedulers = world.of("scheduler")
    for worker in schedulers:
        world.away.add(worker.name)
        worker.kill()
        world.wipe(worker)
    for worker in schedulers:
        world.back(worker)


async def compacted(world: World) -> None:
    """Once every partition of the timetable has lost records to the cleaner; then its configs are as before."""
    settings, topic = world.system.settings, world.system.names.timetable
    spec = next(spec for spec in all_topics(settings) if spec.name == topic)
    now = {
        "min.compaction.lag.ms": "0", "max.compaction.lag.ms": "1000", "segment.ms": "1000",
        "min.cleanable.dirty.ratio": "0.0001",
    }  # fmt: skip
    admin = AIOKafkaAdminClient(**client_arguments(settings))
    await admin.start()
    try:
        for configs in (spec.configs | now, spec.configs):
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)])
            if configs != spec.configs:
                await until(lambda: _has_holes(world), 45, lambda: "nothing was compacted")
    finally:
        await admin.close()


async def _has_holes(world: World) -> bool:
    topic = world.system.names.timetable
    reader = AIOKafkaConsumer(
        **client_arguments(world.system.settings), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    async with reader:
        places = [TopicPartition(topic, n) for n in range(world.system.settings.partitions)]
        reader.assign(places)
        for place in places:
            reader.seek(place, 0)
            found = (await reader.getmany(place, timeout_ms=2_000, max_records=500)).get(place, [])
            if len(found) < 2 or (found[-1].offset - found[0].offset + 1 == len(found) and found[0].offset == 0):
                return False
    return True


@fault(excuses=False)
async def offsets_to_the_beginning(world: World, _rng: random.Random) -> None:
    async with _NobodyAtWork(world):
        for group, topics in world.system.groups().items():
            reader = AIOKafkaConsumer(
                **client_arguments(world.system.settings), group_id=group, enable_auto_commit=False
            )
            async with reader:
                places = [TopicPartition(topic, n) for topic in topics for n in range(world.system.settings.partitions)]
                reader.assign(places)
                await reader.commit({place: OffsetAndMetadata(0, "") for place in places})


@fault(excuses=False)
async def offsets_deleted(world: World, _rng: random.Random) -> None:
    async with _NobodyAtWork(world):
        for group in world.system.groups():
            await world.delete_group(group)


class _NobodyAtWork:
    """Both schedulers and both couriers are stopped, and begun again afterwards."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.workers = [*world.of("scheduler"), *world.of("courier")]

    async def __aenter__(self) -> None:
        await asyncio.gather(*(self.world.stop(worker) for worker in self.workers))

    async def __aexit__(self, *_: object) -> None:
        for worker in self.workers:
            self.world.back(worker)


@fault(excuses=False)
async def disk_full(world: World, _rng: random.Random) -> None:
    """The second scheduler's disk has not a byte left for a while: it ends, and cannot start."""
    if world.small_disk is None:
        raise Unable("no small disk: mounting a tmpfs needs root")
    worker = world.workers["scheduler-2"]
    filler = world.small_disk / FILLER
    try:
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                _fill(file, size)
        await until(lambda: not worker.running, 30, lambda: "a full disk did not end it")
        await asyncio.sleep(world.session_s)
    except AssertionError as said:  # RocksDB had room left in the files it has: not every time
        raise Unable(str(said)) from None
    finally:
        filler.unlink(missing_ok=True)


def _fill(file, size: int) -> None:
    try:
        while True:
            file.write(b"\0" * size)
    except OSError:
        return


@fault(excuses=False)
async def corrupt_mirror(world: World, rng: random.Random) -> None:
    """Bytes of every file of a killed scheduler's mirrors are not what they were."""
    worker = one(world, rng, "scheduler")
    world.away.add(worker.name)
    worker.kill()
    for file in world.mirrors(worker).rglob("*"):
        if file.is_file() and file.stat().st_size and file.name not in ("lock", "LOCK"):
            with file.open("r+b") as damaged:
                for _ in range(8):
                    damaged.seek(rng.randrange(file.stat().st_size))
                    damaged.write(bytes([rng.randrange(256)]))
    world.back(worker)


@fault(excuses=False)
async def stale_mirror(world: World, rng: random.Random) -> None:
    """A scheduler comes back with the mirror that it had some time ago, as from a backup."""
    worker = one(world, rng, "scheduler")
    copy = world.directory / "stale"
    await world.stop(worker)
    shutil.copytree(world.mirrors(worker), copy)
    world.back(worker)
    await world.ready(worker)
    await asyncio.sleep(rng.uniform(1, 4))
    world.away.add(worker.name)
    worker.kill()
    world.wipe(worker)
    shutil.move(copy, world.mirrors(worker))
    world.back(worker)


@fault(excuses=False)
async def clock_of_a_scheduler_steps(world: World, rng: random.Random) -> None:
    """Minutes ahead, behind, ahead, and right again only moments before it hands over: what is early goes back to its owner."""
    await _clock_steps(world, rng.choice(world.of("scheduler")), [STEP_S, -STEP_S, STEP_S])


@fault(excuses=False)
async def clock_of_a_courier_steps_back(world: World, rng: random.Random) -> None:
    await _clock_steps(world, rng.choice(world.of("courier")), [-STEP_S])


async def _clock_steps(world: World, worker: Worker, steps: list[int]) -> None:
    if not FAKETIME:
        raise Unable("libfaketime is not installed: apt-get install libfaketime")
    told = world.directory / "clock"
    told.write_text("+0s\n")
    faked = {
        "LD_PRELOAD": str(FAKETIME[0]), "FAKETIME_TIMESTAMP_FILE": str(told), "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1",
    }  # fmt: skip
    await _restarted(world, worker, worker.environment | faked)
    try:
        for step in steps:
            told.write_text(f"{step:+}s\n")
            await asyncio.sleep(5)
            told.write_text("+0s\n")
            await asyncio.sleep(3)
    finally:
        true = {name: value for name, value in worker.environment.items() if name not in faked}
        await _restarted(world, worker, true)


async def _restarted(world: World, worker: Worker, environment: dict[str, str]) -> None:
    await world.stop(worker)
    worker.environment = environment
    world.back(worker)
    await world.ready(worker)


ONE_BROKER_ONLY = {"zombie_then_compaction_then_cold_load"}
SLOW = {"rolling_restart", "offsets_to_the_beginning"}
