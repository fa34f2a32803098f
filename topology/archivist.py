"""The archivist: reads `events` and writes them into Postgres, for lists and searches. Nothing else waits for it."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from faust.app.base import BootStrategy
from prometheus_client import CollectorRegistry

from agents.archive_events import make_archive_events
from agents.ports import Record
from schemas.events import Unreadable
from schemas.times import at
from schemas.wire import UnreadableError, encode
from topology.app import ClepsydraApp, leave, make_app
from topology.archive_errors import ArchiveAwayError, ArchiveMissingError
from topology.archive_store import PostgresEventStore
from topology.clock import SystemClock
from topology.event_reader import EventReader
from topology.health import Readiness
from topology.postgres import make_pool, migrate, schema_of
from topology.producer import Kafka
from topology.settings import Settings
from topology.topics import TopicNames
from topology.watchdog import Standing
from topology.watches import ArchivistMetrics
from topology.world import connect

logger = structlog.get_logger(__name__)
FORGET_EVERY_S = 3_600
AGAIN_S = 1.0


class NoFaustConsumer(BootStrategy):
    """The group is the reader's own: see topology/event_reader.py."""

    enable_kafka_consumer = False


class ArchivistApp(ClepsydraApp):
    """Its agent is fed by a channel alone."""

    BootStrategy = NoFaustConsumer
    leased = False

    async def on_started(self) -> None:
        """Nothing assigns partitions here, which is when streams would begin."""
        self.flow_control.resume()
        await super().on_started()

    def readiness(self) -> Readiness:
        """Whether it reads its share and the archive can be written; there is no lease to be lost."""
        grants = cast("ArchivistGrants", self.grants)
        return Readiness(grants.joined(), grants.owns(), grants.waiting())


class ArchivistGrants:
    """The reader and the store of this worker."""

    kafka: Kafka
    pool: Any
    reader: EventReader | None = None

    def __init__(self, settings: Settings, app: ArchivistApp, registry: CollectorRegistry) -> None:
        """Nothing is opened before `start`. Raises ArchiveMissingError."""
        if settings.postgres is None:
            raise ArchiveMissingError
        self.settings = settings
        self.names = TopicNames(settings.prefix)
        self.clock = SystemClock()
        self.watch = ArchivistMetrics(registry)
        self.batches = app.channel(maxsize=1)
        self.running: list[asyncio.Task[None]] = []
        self.store = PostgresEventStore(bodies=settings.archive_bodies)

    async def start(self) -> None:
        """Connect to Kafka; the archive may be away. Raises KafkaError, TopicsError."""
        self.kafka, identity = await connect(self.settings, "clepsydra-archivist")
        self.pool = self.store.pool = await make_pool(self.settings)
        self.store.topic_id = identity.topics[self.names.events].id
        self.running = [asyncio.create_task(self.guarded(part())) for part in (self.read, self.forget)]

    async def guarded(self, part: Any) -> None:
        """An error that waiting does not mend ends the process (rule 8)."""
        try:
            await part
        except Exception as error:  # noqa: BLE001 - told, then the process ends
            leave(error)

    async def read(self) -> None:
        """Make the tables, then read until told to stop."""
        await self.prepare()
        self.reader = EventReader(self.settings, self.store, self.feed, self.refuse)
        await self.reader.start()
        logger.info("archivist_reads")
        await self.reader.run()

    async def prepare(self) -> None:
        """Returns when the archive is there and its tables are of this release."""
        while True:
            try:
                applied = await migrate(self.pool, schema_of(self.settings))
            except ArchiveAwayError as away:
                self.watch.away(away, 1)
                await asyncio.sleep(AGAIN_S)
            else:
                logger.info("archive_ready", migrations=applied)
                return

    async def feed(self, batch: Any) -> None:
        """To the agent."""
        await self.batches.send(value=batch)

    async def refuse(self, record: ConsumerRecord, fault: UnreadableError) -> None:
        """A record that is no event of ours harms itself only: it goes to the dead letters."""
        logger.error("event_unreadable", partition=record.partition, offset=record.offset, reason=str(fault))
        letter = Unreadable(
            topic="events",
            partition=record.partition,
            offset=record.offset,
            at=at(record.timestamp),
            fault=str(fault),
            remedy="find who writes to the topic: only owners do",
        )
        key = f"events/{record.partition}/{record.offset}".encode()
        log = self.kafka.log(self.names.dead_letters, record.partition, "told")
        await log.append([Record(key, encode(letter))])

    async def forget(self) -> None:
        """Each hour, what is older than the retention."""
        while True:
            await asyncio.sleep(FORGET_EVERY_S)
            try:
                dropped = await self.store.forget(at(self.clock.now_ms()), self.settings.archive_retention)
            except ArchiveAwayError as away:
                self.watch.away(away, 1)
            else:
                logger.info(
                    "archive_forgot", months=dropped, retention_days=self.settings.archive_retention / timedelta(days=1)
                )

    def joined(self) -> bool:
        """Whether the group has given this worker its share."""
        return self.reader is not None and self.reader.joined

    def owns(self) -> int:
        """How many partitions are read here."""
        return 0 if self.reader is None else len(self.reader.owned)

    def waiting(self) -> list[str]:
        """`postgres` while it is away; what is not read yet."""
        away = ["postgres"] if self.watch.is_away else []
        return away + ([] if self.reader is None else self.reader.waiting())

    async def standings(self) -> list[Standing]:
        """How far each partition is archived: what holds that up is Postgres, which `waiting` tells. Raises KafkaError."""
        topic, stored = self.names.events, {} if self.reader is None else self.reader.stored()
        return [
            Standing(topic, n, done, await self.kafka.end_of(TopicPartition(topic, n)), elsewhere=True)
            for n, done in stored.items()
        ]

    async def revoke(self) -> None:
        """Nothing: the reader hears of rebalances itself."""

    async def assign(self, partitions: dict[str, set[int]]) -> None:
        """Nothing: see `revoke`."""

    async def stop(self) -> None:
        """Disconnect."""
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)
        if self.reader is not None:
            await self.reader.stop()
        await self.kafka.stop()
        await self.pool.close()


def create_archivist(settings: Settings, registry: CollectorRegistry | None = None) -> Any:
    """The archivist's Faust app. Raises ArchiveMissingError without CLEPSYDRA_POSTGRES."""
    registry = registry or CollectorRegistry()
    app = make_app("archivist", settings, registry, ArchivistApp)
    grants = app.grants = ArchivistGrants(settings, app, registry)
    app.agent(grants.batches, name="archive_events")(make_archive_events(grants.store, grants.watch, leave))
    return app
