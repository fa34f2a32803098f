"""The archive made again from Kafka: what `events` holds, and the live rows of the timetable that are older.

Fresh tables are filled beside the old ones and then put in their place, so lists go on meanwhile. Archivists need not be
stopped: they find the new tables where they end.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from msgspec import Struct

from agents.archive_events import EventBatch, Reach
from agents.ports import Stored
from schemas.archive import Placed
from schemas.rows import CLAIM_KEY, PROGRESS_KEY, Claim, Row
from schemas.times import at
from schemas.wire import UnreadableError, read_event, read_timetable
from topology.archive_errors import RebuildRunsError
from topology.archive_store import PostgresEventStore
from topology.postgres import connection, make_pool, migrate, schema_of
from topology.producer import Kafka
from topology.settings import Settings
from topology.topics import TopicNames
from topology.world import connect

REBUILD_LOCK = 0x636C6572
STATEMENT_S = 3_600.0
BATCH_MAX = 5_000


class Rebuilt(Struct, frozen=True, kw_only=True):
    """What was read, and what the archive holds now."""

    events_read: int
    rows_read: int
    unreadable: int
    events: int
    messages: int
    deliveries: int


class Stretch(NamedTuple):
    """Of one partition of a topic: [start, end)."""

    topic: str
    partition: int
    start: int
    end: int


async def rebuild(settings: Settings, total: Callable[[int], None], done: Callable[[int], None]) -> Rebuilt:
    """Makes it again; `total` is told how many records there are to read, `done` of each slice that is in.

    Raises ArchiveAwayError, RebuildRunsError, KafkaError, TopicsError.
    """
    kafka, identity = await connect(settings, "clepsydra-rebuild")
    names = TopicNames(settings.prefix)
    fresh = f"{schema_of(settings)}_rebuild"
    try:
        async with only_rebuild(settings) as db, make_pool(settings, schema=fresh, command_s=STATEMENT_S) as pool:
            await db.execute(f'DROP SCHEMA IF EXISTS "{fresh}" CASCADE')
            await migrate(pool, fresh)
            store = PostgresEventStore(bodies=settings.archive_bodies)
            store.pool, store.topic_id = pool, identity.topics[names.events].id
            await store.starts(range(settings.partitions))
            events = [await stretch(kafka, names.events, n) for n in range(settings.partitions)]
            rows = [await stretch(kafka, names.timetable, n) for n in range(settings.partitions)]
            total(sum(s.end - s.start for s in (*events, *rows)))
            made = Rebuilding(kafka, store, done)
            for each in events:
                await made.events(each)
            for each in rows:
                await made.rows(each)
            await swap(db, old=schema_of(settings), fresh=fresh)
            return await made.result(pool, schema_of(settings))
    finally:
        await kafka.stop()


@asynccontextmanager
async def only_rebuild(settings: Settings) -> AsyncIterator[Any]:
    """A connection that holds the right to rebuild. Raises RebuildRunsError, ArchiveAwayError."""
    async with make_pool(settings, command_s=STATEMENT_S) as pool, connection(pool) as db:
        if not await db.fetchval("SELECT pg_try_advisory_lock($1)", REBUILD_LOCK):
            raise RebuildRunsError("another rebuild of this archive is under way: wait for it")
        yield db


async def stretch(kafka: Kafka, topic: str, partition: int) -> Stretch:
    """All that a partition holds now."""
    place = TopicPartition(topic, partition)
    return Stretch(topic, partition, await kafka.start_of(place), await kafka.end_of(place))


async def swap(db: Any, *, old: str, fresh: str) -> None:
    """The fresh tables in place of the old ones, at once."""
    async with db.transaction():
        await db.execute(f'DROP SCHEMA IF EXISTS "{old}" CASCADE')
        await db.execute(f'ALTER SCHEMA "{fresh}" RENAME TO "{old}"')


class Rebuilding:
    """Reads stretch after stretch into a store."""

    def __init__(self, kafka: Kafka, store: PostgresEventStore, done: Callable[[int], None]) -> None:
        """Nothing is read yet."""
        self._kafka, self._store, self._done = kafka, store, done
        self._events = self._rows = self._unreadable = 0

    async def events(self, where: Stretch) -> None:
        """Every event of a partition, and how far it now reaches: as an archivist would, in larger bites."""
        begun, waiting = 0, []
        async for records in self._read(where):
            waiting += records
            if len(waiting) >= BATCH_MAX:
                begun = await self._store_events(where, waiting, begun, waiting[-1].offset + 1)
                waiting = []
        await self._store_events(where, waiting, begun, where.end)

    async def _store_events(self, where: Stretch, records: list[Stored], begun: int, end: int) -> int:
        placed = [Placed(where.partition, record.offset, event) for record in records if (event := self._event(record))]
        as_of = at(records[-1].at_ms if records else 0)
        await self._store.store(EventBatch({where.partition: Reach(begun, end, as_of)}, placed, lambda _: None))
        self._events += len(placed)
        self._done(len(records))
        return end

    async def rows(self, where: Stretch) -> None:
        """The rows of a partition that count: those of an older epoch after a newer claim are void (rule 7)."""
        epoch = -1
        async for records in self._read(where):
            live = []
            for record in records:
                if record.value is None or record.key == PROGRESS_KEY.encode():
                    continue
                value = read_timetable(record.value)
                if record.key == CLAIM_KEY.encode() and isinstance(value, Claim):
                    epoch = max(epoch, record.offset)
                elif isinstance(value, Row) and value.epoch >= epoch:
                    live.append((value, where.partition))
            await self._store.store_live(live)
            self._rows += len(live)
            self._done(len(records))

    async def result(self, pool: Any, schema: str) -> Rebuilt:
        """What there is now."""
        async with connection(pool) as db:
            counts = {
                table: await db.fetchval(f'SELECT count(*) FROM "{schema}"."{table}"')  # noqa: S608  names of ours
                for table in ("events", "messages", "deliveries")
            }
        return Rebuilt(events_read=self._events, rows_read=self._rows, unreadable=self._unreadable, **counts)

    def _read(self, where: Stretch) -> AsyncIterator[list[Stored]]:
        return self._kafka.log(where.topic, where.partition).read(where.start, where.end)

    def _event(self, record: Stored) -> Any:
        try:
            return read_event(record.value)
        except UnreadableError:
            self._unreadable += 1
            return None
