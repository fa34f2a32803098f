"""The scheduler: keep_timetable, emit_due and apply_acks around one owner per partition."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from agents.channels import retry_delays
from agents.emit_due import make_emit_due
from agents.flows import Flows
from agents.keep_timetable import Early, make_apply_acks, make_keep_timetable
from agents.load_order import LoadOrder
from agents.owner import PartitionOwner
from agents.ports import Seat
from schemas.decisions import Policy
from topology.app import ClepsydraApp, leave, make_app, raw_topic
from topology.channel_settings import channel_settings
from topology.clock import SystemClock
from topology.disk import Slot, slot_directory
from topology.followed_flows import FollowedFlows
from topology.keeping import Keeping
from topology.mirror import open_mirror
from topology.partitions import partition_of
from topology.producer import Kafka
from topology.rocks_schedules import open_schedules
from topology.settings import Settings
from topology.topic_ids import ClusterIdentity
from topology.topics import DELETE_RETENTION_MS, TopicNames
from topology.watchdog import Standing
from topology.watches import OwnerMetrics
from topology.world import connect

logger = structlog.get_logger(__name__)
REVOKE_WITHIN_S = 8.0
MS = timedelta(milliseconds=1)


class OwnerSeat:
    """An owner, its mirror's files with it."""

    def __init__(self, owner: PartitionOwner) -> None:
        """Not running yet."""
        self.owner = owner

    async def run(self) -> None:
        """Own the partition until `stop`."""
        await self.owner.run()

    def stop(self) -> None:
        """Start nothing more."""
        self.owner.stop()

    def ready(self) -> bool:
        """Whether it has caught up."""
        return self.owner.ready

    async def close(self) -> None:
        """Say how far all is done, let the files go."""
        try:
            await self.owner.close()
        finally:
            self.owner.mirror.close()
            if self.owner.keeper is not None:
                self.owner.keeper.table.close()


class SchedulerGrants:
    """Owners of the partitions that this worker was given."""

    kafka: Kafka
    identity: ClusterIdentity
    slot: Slot
    followed: FollowedFlows

    def __init__(self, settings: Settings, app: ClepsydraApp, registry: CollectorRegistry) -> None:
        """Nothing is opened before `start`."""
        self.settings, self.app = settings, app
        self.names = TopicNames(settings.prefix)
        self.clock = SystemClock()
        self.owned = app.channel()
        self.early = Early()
        self.load_order = LoadOrder()
        self.former: dict[int, PartitionOwner] = {}
        """The last owner here of each partition that is ours: the next one finishes what it was fed."""
        self.announcing: set[asyncio.Task[Any]] = set()
        delays = retry_delays(channel_settings(settings), self.clock)
        self.watch = OwnerMetrics(registry, delays)
        self.policy = Policy(
            delays_ms=delays,
            idempotency_ms=settings.idempotency_window // MS,
            horizon_ms=settings.schedule_horizon // MS,
        )
        self.keeping: Keeping[OwnerSeat] = Keeping(self.make, leave)

    async def start(self) -> None:
        """Connect; take a directory for the mirrors. Raises KafkaError, TopicsError, DirectoryBusyError."""
        self.kafka, self.identity = await connect(self.settings, "clepsydra-scheduler")
        self.slot = slot_directory(self.settings.data, "scheduler", self.settings.instance)
        self.followed = FollowedFlows(Flows(), self.kafka, self.names.settings, leave)
        await self.followed.start()

    async def revoke(self) -> None:
        """Let all partitions go."""
        self.early.clear()
        self.former.clear()
        await self.keeping.revoke(REVOKE_WITHIN_S)

    async def assign(self, partitions: dict[str, set[int]]) -> None:
        """Own these: `commands` and `acks` are given together."""
        mine = partitions.get(self.names.commands, set()) & partitions.get(self.names.acks, set())
        self.early.clear()
        self.keeping.assign(mine)

    async def standings(self) -> list[Standing]:
        """How far each partition that is caught up has come: what it has not taken in yet it looks for by itself."""
        return [
            Standing(topic, n, source.order.low, source.target)
            for n, kept in list(self.keeping.kept.items())
            if kept.owner.ready
            for topic, source in ((self.names.commands, kept.owner.commands), (self.names.acks, kept.owner.acks))
        ]

    def owns(self) -> int:
        """How many partitions are here."""
        return sum(kept.owner.ready for kept in self.keeping.kept.values())

    def waiting(self) -> list[str]:
        """Partitions whose owner has not caught up."""
        kept = self.keeping.kept
        return [
            f"{self.names.timetable}/{n}"
            for n in sorted(self.keeping.assigned())
            if n not in kept or not kept[n].owner.ready
        ]

    async def stop(self) -> None:
        """Disconnect."""
        await self.followed.stop()
        await self.kafka.stop()
        self.slot.release()

    def owner(self, partition: int) -> PartitionOwner | None:
        """The owner of a partition, if it is here."""
        kept = self.keeping.kept.get(partition)
        return None if kept is None else kept.owner

    async def make(self, partition: int) -> OwnerSeat:
        """An owner over the partition's mirror, which may be empty."""
        settings = self.settings
        path = Path(self.slot.path)
        known = await self._known(self.names.timetable, partition)
        mirror = open_mirror(path / f"timetable-{partition}", **known)
        known = await self._known(self.names.schedules, partition)
        schedules = open_schedules(path / f"schedules-{partition}", **known)
        owner = PartitionOwner(
            partition=partition,
            name=f"{self.slot.path.name}",
            seat=self.seat(partition),
            mirror=mirror,
            clock=self.clock,
            lease=self.app.lease,
            policy=self.policy,
            home=lambda key: partition_of(key, settings.partitions),
            place=lambda _, key: partition_of(key, settings.due_partitions),
            watch=self.watch,
            announce=self.announce,
            in_flight_max=settings.max_in_flight,
            look_ahead_ms=settings.look_ahead // MS,
            flows=self.followed.flows,
            schedules=schedules,
            load_order=self.load_order,
        )
        if (former := self.former.get(partition)) is not None:
            owner.inherit(former)
        self.former[partition] = owner
        self.early.bring(partition, owner)
        return OwnerSeat(owner)

    async def _known(self, topic: str, partition: int) -> dict[str, Any]:
        """What tells whether a copy on disk can be trusted."""
        place = TopicPartition(topic, partition)
        return {
            "cluster_id": self.identity.id,
            "topic_id": self.identity.topics[topic].id,
            "log_start": await self.kafka.start_of(place),
            "log_end": await self.kafka.end_of(place),
            "now_ms": self.clock.now_ms(),
            "max_sleep_ms": DELETE_RETENTION_MS // 2,
            "warn": lambda text: logger.warning("mirror_rebuilt", partition=partition, reason=text),
        }

    def announce(self, partition: int) -> None:
        """A partition is caught up: its spout may begin."""
        logger.info("partition_owned", partition=partition)
        self.announcing.add(task := self.app.loop.create_task(self.owned.send(value=partition)))
        task.add_done_callback(self.announcing.discard)

    def seat(self, partition: int) -> Seat:
        """The logs around a partition. What must not wait behind bulk writes has a lane of its own."""
        log, names, settings = self.kafka.log, self.names, self.settings
        due = {
            channel: [log(names.due(channel), n, "due") for n in range(settings.due_partitions)]
            for channel in self.policy.delays_ms
        }
        return Seat(
            partitions=settings.partitions,
            timetable=log(names.timetable, partition, "timetable"),
            commands=log(names.commands, partition, "told"),
            acks=log(names.acks, partition, "told"),
            events=log(names.events, partition, "told"),
            dead_letters=log(names.dead_letters, partition, "told"),
            windows=log(names.windows, partition, "told"),
            answers=lambda n: log(names.answers, n, "told"),
            due=due,
            forward=lambda n: log(names.commands, n, "told"),
            schedules=log(names.schedules, partition, "timetable"),
        )


def create_scheduler(settings: Settings, registry: CollectorRegistry | None = None) -> Any:
    """The scheduler's Faust app."""
    registry = registry or CollectorRegistry()
    app = make_app("scheduler", settings, registry, ClepsydraApp)
    grants = app.grants = SchedulerGrants(settings, app, registry)
    commands = raw_topic(app, grants.names.commands, settings.partitions)
    acks = raw_topic(app, grants.names.acks, settings.partitions)
    app.agent(commands, name="keep_timetable")(make_keep_timetable(grants.owner, grants.early))
    app.agent(acks, name="apply_acks")(make_apply_acks(grants.owner, grants.early))
    app.agent(grants.owned, name="emit_due")(make_emit_due(grants.owner))
    return app
