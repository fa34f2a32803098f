"""`python -m benchmarks.microseconds`: CPU per message in scheduler and courier, without Kafka between them.

The owners and couriers of all partitions in this process, over logs in memory that build batches as for Kafka, with
real RocksDB. CPU time varies less with what else the machine does than wall time: for comparing two versions.
"""

import argparse
import asyncio
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import structlog
import uvloop
from aiokafka.producer.message_accumulator import BatchBuilder
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from agents.ack_writer import AckWriter
from agents.channels.log import LogChannel
from agents.channels.settings import ChannelSettings
from agents.courier import CourierPartition
from agents.owner import PartitionOwner
from agents.ports import Record, Seat, Stored
from agents.send_pool import SendPool
from benchmarks.load import Account, creates, no_account, one_account, own_account
from schemas.decisions import Policy
from schemas.due import DueMessage
from schemas.outcomes import Outcome
from schemas.wire import encode, packs
from topology.clock import SystemClock
from topology.collector import calm_collector
from topology.kafka_log import batches_of
from topology.memory import open_memory
from topology.mirror import open_mirror
from topology.partitions import partition_of
from topology.topics import MIB
from topology.watches import CourierMetrics, OwnerMetrics

PARTITIONS = 4
HOUR_MS = 3_600_000
LOOK_S = 0.002
ACCOUNTS: dict[str, Account] = {"none": no_account, "one": one_account, "own": own_account}


class SetClock(SystemClock):
    """The machine's clock, put forward."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


class MemoryLog:
    """agents.ports.Log: a batch is built as for Kafka, and thrown away."""

    def __init__(self, clock: SetClock) -> None:
        self.stored: list[Stored] = []
        self.clock = clock

    @staticmethod
    def create_batch() -> BatchBuilder:
        return BatchBuilder(MIB, 0)

    async def append(self, records: Sequence[Record]) -> int:
        for batch in batches_of(self, records):
            batch._build()  # noqa: SLF001  as the producer does
        first, now = len(self.stored), self.clock.now_ms()
        self.stored += [Stored(first + n, r.key, r.value, now, r.headers) for n, r in enumerate(records)]
        await asyncio.sleep(0)
        return first

    async def read(self, start: int, end: int) -> AsyncIterator[list[Stored]]:
        yield self.stored[start:end]

    async def end(self) -> int:
        return len(self.stored)


class CountingChannel(LogChannel):
    """Knows how many messages it had in hand."""

    sent = 0

    async def send(self, message: DueMessage) -> Outcome:
        self.sent += 1
        return await super().send(message)


class World:
    """Four partitions of everything."""

    def __init__(self, directory: Path, in_flight_max: int) -> None:
        self.directory, self.in_flight_max = directory, in_flight_max
        self.clock = SetClock()
        self.logs: dict[str, list[MemoryLog]] = {
            name: [MemoryLog(self.clock) for _ in range(PARTITIONS)]
            for name in (
                "timetable",
                "commands",
                "acks",
                "acked",
                "events",
                "dead_letters",
                "answers",
                "due",
                "outcomes",
            )
        }
        registry = CollectorRegistry()
        self.watch, self.courier_watch = OwnerMetrics(registry), CourierMetrics(registry)
        self.tasks: list[asyncio.Task[None]] = []
        self.broken: list[BaseException] = []

    def count(self, log: str) -> int:
        return sum(len(each.stored) for each in self.logs[log])

    def owner(self, partition: int) -> PartitionOwner:
        logs = self.logs
        mirror = open_mirror(
            self.directory / f"timetable-{partition}", cluster_id="c", topic_id="t", log_start=0, log_end=0,
            now_ms=self.clock.now_ms(), max_sleep_ms=HOUR_MS, warn=print,
        )  # fmt: skip
        seat = Seat(
            partitions=PARTITIONS,
            timetable=logs["timetable"][partition],
            commands=logs["commands"][partition],
            acks=logs["acked"][partition],
            events=logs["events"][partition],
            dead_letters=logs["dead_letters"][partition],
            windows=MemoryLog(self.clock),
            answers=lambda n: logs["answers"][n],
            due={"log": logs["due"]},
            forward=lambda n: logs["commands"][n],
        )
        return PartitionOwner(
            partition=partition, name="bench", seat=seat, mirror=mirror, clock=self.clock, lease=lambda: True,
            policy=Policy(delays_ms={"log": ()}), home=lambda key: partition_of(key, PARTITIONS),
            place=lambda _, key: partition_of(key, PARTITIONS), watch=self.watch, announce=self.announce,
            in_flight_max=self.in_flight_max,
        )  # fmt: skip

    def announce(self, partition: int) -> None:
        self.tasks.append(asyncio.create_task(self.owners[partition].emit()))

    async def start_owners(self) -> None:
        self.owners = [self.owner(n) for n in range(PARTITIONS)]
        self.tasks += [asyncio.create_task(owner.run()) for owner in self.owners]
        await self.until(lambda: all(owner.ready for owner in self.owners))

    def courier(self, partition: int, pool: SendPool, acks: list[AckWriter]) -> CourierPartition:
        memory = open_memory(
            self.directory / f"outcomes-{partition}", cluster_id="c", topic_id="t", log_end=0, warn=print
        )
        return CourierPartition(
            partition=partition, courier="bench", pool=pool, due=self.logs["due"][partition],
            outcomes=self.logs["outcomes"][partition], dead_letters=self.logs["dead_letters"][partition],
            memory=memory, acks=lambda n: acks[n], clock=self.clock, lease=lambda: True,
            on_broken=self.broken.append, watch=self.courier_watch, pause=self.pause,
        )  # fmt: skip

    async def pause(self) -> None:
        await self.clock.sleep_ms(20)

    async def start_couriers(self) -> None:
        self.channel = CountingChannel(ChannelSettings(delays_ms=()), self.clock)
        self.pool = SendPool(self.channel, self.clock, self.broken.append)
        acks = [AckWriter(log, self.broken.append, self.pause) for log in self.logs["acks"]]
        self.couriers = [self.courier(n, self.pool, acks) for n in range(PARTITIONS)]
        for courier in self.couriers:
            await courier.recover()

    async def until(self, over: Callable[[], bool], within_s: float = 120) -> None:
        async with asyncio.timeout(within_s):
            while not over():
                for task in self.tasks:
                    if task.done():
                        task.result()
                if self.broken:
                    raise self.broken[0]
                await asyncio.sleep(LOOK_S)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Stopwatch:
    """CPU of this thread, and of all threads (RocksDB's too), in microseconds per message."""

    def __init__(self, messages: int) -> None:
        self.messages = messages

    def begin(self) -> None:
        self.began = time.thread_time(), time.process_time(), time.perf_counter()

    def end(self, name: str) -> None:
        spent = [(now - then) * 1e6 / self.messages for now, then in zip(
            (time.thread_time(), time.process_time(), time.perf_counter()), self.began, strict=True)]  # fmt: skip
        print(f"{name:28} {spent[0]:7.1f} us   with other threads {spent[1]:7.1f}   wall {spent[2]:7.1f}", flush=True)


async def measure(directory: Path, messages: int, account: Account, in_flight_max: int) -> None:
    """Creates, then arming and emission, then the couriers' part, then the acks: each for all messages."""
    world = World(directory, in_flight_max)
    watch = Stopwatch(messages)
    await world.start_owners()
    await world.start_couriers()
    calm_collector()
    await accept(world, watch, messages, account)
    await emit(world, watch, messages)
    await deliver(world, watch, messages)
    await settle(world, watch)
    await world.stop()


async def accept(world: World, watch: Stopwatch, messages: int, account: Account) -> None:
    commands: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    for command in creates("m", [world.clock.now_ms() + HOUR_MS] * messages, account):
        commands[partition_of(command.id, PARTITIONS)].append(encode(replace(command, reply_to=0)))
    headers = (("clepsydra-routed", b"%d" % PARTITIONS),)
    for log, share in zip(world.logs["commands"], commands, strict=True):
        await log.append([Record(None, pack, headers) for pack in packs(share)])
    watch.begin()
    for owner, log in zip(world.owners, world.logs["commands"], strict=True):
        for record in log.stored:
            owner.feed_commands(record, lambda: None)
    await world.until(lambda: world.count("events") >= messages and not any(o.inbox for o in world.owners))
    watch.end("create")


async def emit(world: World, watch: Stopwatch, messages: int) -> None:
    world.clock.ahead_ms = HOUR_MS - 60_000
    watch.begin()
    for owner in world.owners:
        owner.spout.bell.set()
    await world.until(lambda: sum(len(o.decider.near.armed) for o in world.owners) >= messages)
    watch.end("arm")
    fences = world.count("due")
    world.clock.ahead_ms = HOUR_MS + 5_000
    watch.begin()
    for owner in world.owners:
        owner.spout.bell.set()
    await world.until(lambda: world.watch.messages["emitted", "log"] >= messages)
    watch.end("emit")
    print(f"{'messages per pack':28} {messages / (world.count('due') - fences):7.1f}")


async def deliver(world: World, watch: Stopwatch, messages: int) -> None:
    watch.begin()
    for courier, log in zip(world.couriers, world.logs["due"], strict=True):
        for record in log.stored:
            courier.feed(record.offset, record.value, lambda: None)
    await world.until(lambda: world.channel.sent >= messages)
    watch.end("courier, until in hand")
    await world.until(lambda: not any(c.in_hand.owed or c.inbox for c in world.couriers))
    watch.end("courier, until acked")


async def settle(world: World, watch: Stopwatch) -> None:
    told = world.count("events")
    for log, written in zip(world.logs["acked"], world.logs["acks"], strict=True):
        log.stored = written.stored
    watch.begin()
    for owner, log in zip(world.owners, world.logs["acked"], strict=True):
        for record in log.stored:
            owner.feed_acks(record, lambda: None)
    watch.end("acks, until read")
    await world.until(lambda: not any(o.inbox or o.spout.emissions for o in world.owners))
    watch.end("acks, until settled")
    print(f"{'events per message':28} {(world.count('events') - told) / watch.messages:7.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.microseconds", description=__doc__)
    parser.add_argument("--messages", type=int, default=40_000)
    parser.add_argument("--accounts", choices=sorted(ACCOUNTS), default="none")
    parser.add_argument("--in-flight", type=int, default=100_000)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="clepsydra-us-") as directory:
        uvloop.run(measure(Path(directory), options.messages, ACCOUNTS[options.accounts], options.in_flight))


if __name__ == "__main__":
    main()
