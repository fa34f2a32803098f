"""The courier: deliver_<channel> for each of its channels, and a courier for each partition it was given."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from agents.ack_writer import AckWriter
from agents.channels import made_channels
from agents.courier import CourierPartition
from agents.deliver import make_deliver
from agents.flows import Flows
from agents.send_pool import SendPool
from topology.app import ClepsydraApp, leave, make_app, raw_topic
from topology.breaker_board import BreakerBoard
from topology.channel_settings import channel_settings, usable_channels
from topology.clock import SystemClock
from topology.disk import Slot, slot_directory
from topology.followed_flows import FollowedFlows
from topology.group_offsets import committed
from topology.memory import RocksMemory, open_memory
from topology.producer import Kafka
from topology.settings import Settings
from topology.topic_ids import ClusterIdentity
from topology.topics import TopicNames
from topology.watchdog import Standing
from topology.watches import CourierMetrics
from topology.world import connect

logger = structlog.get_logger(__name__)
LOOK_S = 1.0
GONE_LOOKS_MAX = 5
PAUSE_MS = 20

Place = tuple[str, int]
"""A channel and a partition of its due topic."""


class PartitionGoneError(Exception):
    """A courier lost its claim or its lease while the group still gives it the partition."""


class CourierGrants:
    """Couriers of the due partitions that this worker was given."""

    kafka: Kafka
    identity: ClusterIdentity
    slot: Slot
    pools: dict[str, SendPool]
    followed: FollowedFlows

    def __init__(
        self, settings: Settings, app: ClepsydraApp, channels: Sequence[str], registry: CollectorRegistry
    ) -> None:
        """Nothing is opened before `start`."""
        self.settings, self.app = settings, app
        self.names = TopicNames(settings.prefix)
        self.clock = SystemClock()
        self.flows = Flows()
        self.watch = CourierMetrics(registry, channels)
        made = made_channels(channel_settings(settings, self.flows), self.clock)
        self.channels = {name: made[name] for name in channels}
        self.couriers: dict[Place, tuple[CourierPartition, RocksMemory]] = {}
        self.acks: dict[int, AckWriter] = {}
        self.looking: asyncio.Task[None] | None = None
        self.telling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect; open the channels. Raises KafkaError, TopicsError, DirectoryBusyError."""
        self.kafka, self.identity = await connect(self.settings, "clepsydra-courier")
        self.slot = slot_directory(self.settings.data, "courier", self.settings.instance)
        self.followed = FollowedFlows(self.flows, self.kafka, self.names.settings, leave)
        await self.followed.start()
        for channel in self.channels.values():
            await channel.start()
        self.pools = {
            name: SendPool(channel, self.clock, leave, flows=self.flows) for name, channel in self.channels.items()
        }
        self.looking = asyncio.create_task(self.look())
        board = BreakerBoard(self.followed.table, self.clock)
        self.telling = asyncio.create_task(board.run(lambda: {name: p.breakers for name, p in self.pools.items()}))

    async def revoke(self) -> None:
        """Finish what is being sent, write it, let all partitions go."""
        couriers, self.couriers = self.couriers, {}
        await asyncio.gather(*(courier.stop() for courier, _ in couriers.values()))
        for _, memory in couriers.values():
            memory.close()

    async def assign(self, partitions: dict[str, set[int]]) -> None:
        """Take these over; what they bring waits until the memory is loaded."""
        for channel in self.channels:
            for partition in sorted(partitions.get(self.names.due(channel), ())):
                if (channel, partition) not in self.couriers:
                    courier, _ = self.couriers[channel, partition] = await self.make(channel, partition)
                    courier.start()

    async def standings(self) -> list[Standing]:
        """How far each partition that is caught up has come. Raises KafkaError."""
        return [
            Standing(
                topic,
                n,
                self.done_before(topic, n, courier),
                await self.kafka.end_of(TopicPartition(topic, n)),
                courier.idle(),
            )
            for (channel, n), (courier, _) in list(self.couriers.items())
            if courier.state == "running"
            for topic in [self.names.due(channel)]
        ]

    def done_before(self, topic: str, partition: int, courier: CourierPartition) -> int:
        """Before the stream has brought anything: what is committed."""
        done = courier.done_before()
        return done if done is not None else committed(self.app.consumer, topic, partition) or 0

    def owns(self) -> int:
        """How many partitions are here."""
        return sum(courier.state == "running" for courier, _ in self.couriers.values())

    def waiting(self) -> list[str]:
        """Partitions whose courier has not loaded its memory, or has let go."""
        return [
            f"{self.names.due(channel)}/{n}"
            for (channel, n), (courier, _) in sorted(self.couriers.items(), key=lambda kept: kept[0])
            if courier.state != "running"
        ]

    async def stop(self) -> None:
        """Close the channels, disconnect."""
        for task in (self.looking, self.telling):
            if task is not None:
                task.cancel()
        for name, channel in self.channels.items():
            await self.pools[name].stop()
            await channel.stop()
        await self.followed.stop()
        await self.kafka.stop()
        self.slot.release()

    def courier(self, channel: str, partition: int) -> CourierPartition | None:
        """The courier of a partition, if it is here."""
        kept = self.couriers.get((channel, partition))
        return None if kept is None else kept[0]

    async def make(self, channel: str, partition: int) -> tuple[CourierPartition, RocksMemory]:
        """A courier over its memory, which may be empty."""
        topic = self.names.outcomes(channel)
        memory = open_memory(
            Path(self.slot.path) / f"outcomes-{channel}-{partition}",
            cluster_id=self.identity.id,
            topic_id=self.identity.topics[topic].id,
            log_end=await self.kafka.end_of(TopicPartition(topic, partition)),
            warn=lambda text: logger.warning("memory_rebuilt", channel=channel, partition=partition, reason=text),
        )
        courier = CourierPartition(
            partition=partition,
            courier=self.slot.path.name,
            pool=self.pools[channel],
            due=self.kafka.log(self.names.due(channel), partition, "due"),
            outcomes=self.kafka.log(topic, partition, "outcomes"),
            dead_letters=self.kafka.log(self.names.dead_letters, partition % self.settings.partitions, "acks"),
            memory=memory,
            acks=self.ack_writer,
            clock=self.clock,
            lease=self.app.lease,
            on_broken=leave,
            watch=self.watch,
            pause=self.pause,
            flows=self.flows,
            partitions=self.settings.due_partitions,
        )
        return courier, memory

    async def pause(self) -> None:
        """So long outcomes and acks wait for others to be written with."""
        await self.clock.sleep_ms(PAUSE_MS)

    def ack_writer(self, partition: int) -> AckWriter:
        """The one writer of acks to a timetable partition in this process."""
        writer = self.acks.get(partition)
        if writer is None:
            writer = self.acks[partition] = AckWriter(
                self.kafka.log(self.names.acks, partition, "acks"), leave, self.pause
            )
        return writer

    async def look(self) -> None:
        """A partition that has let go by itself and is still given to us is taken up again by a new process (rule 8)."""
        looks = 0
        while True:
            await asyncio.sleep(LOOK_S)
            gone = [(place, c.ended) for place, (c, _) in self.couriers.items() if c.state == "gone"]
            looks = looks + 1 if gone else 0
            if looks == GONE_LOOKS_MAX:
                (channel, partition), why = gone[0]
                leave(PartitionGoneError(f"due.{channel}/{partition} is ours by the group and has let go: {why}"))


def create_courier(
    settings: Settings, channels: Sequence[str] | None = None, registry: CollectorRegistry | None = None
) -> Any:
    """The courier's Faust app, for some channels or all. Raises ValueError for a channel that is not there."""
    known = usable_channels(settings)
    unknown = sorted(set(channels or ()) - set(known))
    if unknown:
        raise ValueError(f"there is no channel {unknown[0]!r}: use some of {', '.join(known)}")
    mine = sorted(set(channels)) if channels else known
    registry = registry or CollectorRegistry()
    app = make_app("courier" if not channels else f"courier.{'.'.join(mine)}", settings, registry, ClepsydraApp)
    grants = app.grants = CourierGrants(settings, app, mine, registry)
    app.restart_helps = True
    for channel in mine:
        topic = raw_topic(app, grants.names.due(channel), settings.due_partitions)
        couriers = courier_of(grants, channel)
        app.agent(topic, name=f"deliver_{channel}")(make_deliver(channel, couriers, leave))
    return app


def courier_of(grants: CourierGrants, channel: str) -> Any:
    """The couriers of one channel, by partition."""
    return lambda partition: grants.courier(channel, partition)
