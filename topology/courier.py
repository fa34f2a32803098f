"""The courier: deliver_<channel> for each of its channels, and a courier for each partition it was given."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from agents.ack_writer import AckWriter
from agents.channels import made_channels
from agents.courier import CourierPartition
from agents.deliver import make_deliver
from agents.flows import Flows
from agents.ports import LogBrokenError, Memory
from agents.send_pool import SendPool
from agents.unrecorded import Unrecorded
from topology.app import ClepsydraApp, leave, make_app, raw_topic
from topology.breaker_board import BreakerBoard
from topology.channel_settings import channel_settings, usable_channels
from topology.clock import SystemClock
from topology.couriers import Couriers, Place
from topology.disk import Slot, slot_directory
from topology.followed_flows import FollowedFlows
from topology.group_offsets import committed_now
from topology.memory import RocksMemory, open_memory
from topology.producer import Kafka
from topology.settings import Settings
from topology.topic_ids import ClusterIdentity
from topology.topics import TopicNames
from topology.watchdog import Standing
from topology.watches import CourierMetrics
from topology.world import connect

logger = structlog.get_logger(__name__)
PAUSE_MS = 20
BOARD_WITHIN_S = 1.0


class CourierGrants:
    """Couriers of the due partitions that this worker was given."""

    kafka: Kafka
    identity: ClusterIdentity
    slot: Slot
    pools: dict[str, SendPool]
    followed: FollowedFlows
    board: BreakerBoard

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
        self.couriers = Couriers(self.make, self.clock, app.lease, leave)
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
        self.looking = asyncio.create_task(self.couriers.run())
        self.board = BreakerBoard(self.followed.table, self.clock)
        self.telling = asyncio.create_task(self.board.run(lambda: {name: p.breakers for name, p in self.pools.items()}))

    async def revoke(self) -> None:
        """Finish what is being sent, write it, let all partitions go."""
        await self.couriers.revoke()

    async def assign(self, partitions: dict[str, set[int]]) -> None:
        """Take these over from what is committed; what they bring waits until the memory is loaded."""
        new = [
            (channel, partition)
            for channel in self.channels
            for partition in sorted(partitions.get(self.names.due(channel), ()))
            if (channel, partition) not in self.couriers
        ]
        places = [TopicPartition(self.names.due(channel), partition) for channel, partition in new]
        since = await committed_now(self.app.consumer._thread, places)  # noqa: SLF001 - Faust has no public way to it
        for place, offset in zip(new, since, strict=True):
            self.couriers.begin(place, await self.memory(*place), offset)

    async def standings(self) -> list[Standing]:
        """How far each partition that is caught up has come. Raises KafkaError."""
        return [
            Standing(topic, n, courier.done_before(), await self.kafka.end_of(TopicPartition(topic, n)))
            for (channel, n), courier in self.couriers
            if courier.state == "running"
            for topic in [self.names.due(channel)]
        ]

    def owns(self) -> int:
        """How many partitions are here."""
        return sum(courier.state == "running" for _, courier in self.couriers)

    def waiting(self) -> list[str]:
        """Partitions whose courier has not loaded its memory, or has let go."""
        return [
            f"{self.names.due(channel)}/{n}" for (channel, n), courier in self.couriers if courier.state != "running"
        ]

    async def stop(self) -> None:
        """Close the channels, disconnect."""
        for task in (self.looking, self.telling):
            if task is not None:
                task.cancel()
        await self.close_board()
        for name, channel in self.channels.items():
            await self.pools[name].stop()
            await channel.stop()
        await self.followed.stop()
        await self.kafka.stop()
        self.slot.release()

    async def close_board(self) -> None:
        """What cannot be taken back in time is forgotten by itself."""
        with suppress(LogBrokenError, TimeoutError):
            async with asyncio.timeout(BOARD_WITHIN_S):
                await self.board.close()

    async def memory(self, channel: str, partition: int) -> RocksMemory:
        """What is remembered of a partition here, which may be nothing. Raises KafkaError, DiskError."""
        topic = self.names.outcomes(channel)
        return open_memory(
            Path(self.slot.path) / f"outcomes-{channel}-{partition}",
            cluster_id=self.identity.id,
            topic_id=self.identity.topics[topic].id,
            log_end=await self.kafka.end_of(TopicPartition(topic, partition)),
            warn=lambda text: logger.warning("memory_rebuilt", channel=channel, partition=partition, reason=text),
        )

    def make(self, place: Place, memory: Memory, since: int, unrecorded: Unrecorded) -> CourierPartition:
        """A courier over its memory."""
        channel, partition = place
        return CourierPartition(
            partition=partition,
            courier=self.slot.path.name,
            pool=self.pools[channel],
            due_id=self.identity.topics[self.names.due(channel)].id,
            due=self.kafka.log(self.names.due(channel), partition, "due"),
            outcomes=self.kafka.log(self.names.outcomes(channel), partition, "outcomes"),
            dead_letters=self.kafka.log(self.names.dead_letters, partition % self.settings.partitions, "acks"),
            memory=memory,
            acks=self.ack_writer,
            clock=self.clock,
            lease=self.app.lease,
            on_broken=broken,
            watch=self.watch,
            pause=self.pause,
            flows=self.flows,
            partitions=self.settings.due_partitions,
            since=since,
            unrecorded=unrecorded,
        )

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


def broken(error: Exception) -> None:
    """Brokers that were away, or a write of unknown fate, are mended in place; all else only by a new process."""
    if isinstance(error, LogBrokenError | KafkaError):
        logger.warning("courier_let_go", reason=f"{type(error).__name__}: {error}")
    else:
        leave(error)


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
    return lambda partition: grants.couriers.get((channel, partition))
