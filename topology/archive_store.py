"""Events into Postgres: one transaction per batch, with how far it reaches, so each event counts once."""

from collections.abc import Iterable
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Any

import asyncpg
import structlog

from agents.archive_events import EventBatch, OvertakenError, Reach, StoreAwayError
from schemas.archive import DeliveryRow, EventRow, MessageRow, Placed, Rows, rows_of, rows_of_live
from schemas.rows import Row
from topology.archive_errors import ArchiveAwayError
from topology.postgres import connection
from topology.sql import all_of, queries

logger = structlog.get_logger(__name__)
MONTH_LOCK = 0x636C6571
FORGET_SLICE = 5_000
UNSTORABLE = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, OverflowError, TypeError, ValueError)
"""Of a value: too large a number, too long a key, what no text may hold."""
PASSING = (asyncpg.TransactionRollbackError, asyncpg.InsufficientResourcesError)
"""Of the moment: a deadlock, a full disk, too many connections."""


class PostgresEventStore:
    """Implements agents.archive_events.EventStore."""

    pool: Any
    topic_id: str
    """Both are known once this process is connected."""

    def __init__(self, *, bodies: bool) -> None:
        self._bodies = bodies
        self._months: set[datetime] = set()

    async def starts(self, partitions: Iterable[int]) -> dict[int, int]:
        """The offset from which each of these partitions is wanted. Raises ArchiveAwayError.

        Where the topic was made anew, that is its start again.
        """
        wanted = sorted(partitions)
        async with connection(self.pool) as db, db.transaction():
            await queries.add_offsets(db, topic_id=self.topic_id, partitions=wanted)
            await queries.forget_positions(db, topic_id=self.topic_id)
            return {
                row["partition"]: row["next"] for row in await all_of(queries.offsets(db)) if row["partition"] in wanted
            }

    async def touch(self, reaches: dict[int, Reach]) -> None:
        """Nothing new has come: the archive is complete as of a later time. Raises ArchiveAwayError."""
        async with connection(self.pool) as db:
            await _advance(db, reaches)

    async def store(self, batch: EventBatch) -> None:
        """All or nothing. Raises StoreAwayError, OvertakenError."""
        try:
            await self._make_months(batch.placed)
            async with connection(self.pool) as db:
                await queries.staging(db)
                async with db.transaction():
                    await self._store(db, batch)
        except ArchiveAwayError as away:
            raise StoreAwayError(away.why) from away
        except PASSING as error:
            raise StoreAwayError(str(error)) from error
        except (OvertakenError, asyncpg.CheckViolationError) as error:
            self._months.clear()  # a rebuilt archive has its own
            if isinstance(error, OvertakenError):
                raise
            raise StoreAwayError(str(error)) from error

    async def _store(self, db: Any, batch: EventBatch) -> None:
        moved = await _advance(db, batch.reaches)
        if moved != batch.reaches.keys():
            raise OvertakenError(f"partitions {sorted(batch.reaches.keys() - moved)} are not where they were")
        if not batch.placed:
            return
        ids = [placed.event.event_id for placed in batch.placed]
        known = {row["event_id"] for row in await all_of(queries.known_events(db, event_ids=ids))}
        await self._write(db, [placed for placed in batch.placed if placed.event.event_id not in known])

    async def _write(self, db: Any, placed: list[Placed]) -> None:
        """What Postgres cannot hold harms itself only: it is left out, and told."""
        try:
            async with db.transaction():
                await _write(db, rows_of(placed, bodies=self._bodies))
        except UNSTORABLE as fault:
            if len(placed) == 1:
                leave_out(placed[0], fault)
                return
            for each in placed:
                await self._write(db, [each])

    async def _make_months(self, placed: Iterable[Placed]) -> None:
        """The months of these events and, ahead of time, the ones after them."""
        wanted = {month(p.event.at) for p in placed}
        wanted |= {month(m + timedelta(days=32)) for m in wanted if m.year < MAXYEAR}
        missing = sorted(wanted - self._months)
        if not missing:
            return
        async with connection(self.pool) as db, db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock($1)", MONTH_LOCK)
            for each in missing:
                await queries.make_events_month(db, month=each.date())
        self._months |= wanted

    async def store_live(self, rows: Iterable[tuple[Row, int]]) -> None:
        """Rows of the timetable, each with its partition, where no event has told of them. Raises ArchiveAwayError."""
        messages: dict[tuple[str, int], MessageRow] = {}
        deliveries: dict[tuple[str, int, int], DeliveryRow] = {}
        for row, partition in rows:
            message, found = rows_of_live(row, partition, bodies=self._bodies)
            messages[message.id, message.birth] = message
            deliveries |= {(d.id, d.birth, d.target): d for d in found}
        async with connection(self.pool) as db:
            await queries.staging(db)
            async with db.transaction():
                await _copy(db, "staged_messages", MessageRow, messages.values())
                await queries.merge_live_messages(db)
                await _copy(db, "staged_deliveries", DeliveryRow, deliveries.values())
                await queries.merge_live_deliveries(db)

    async def forget(self, now: datetime, retention: timedelta) -> list[str]:
        """Drops what is older than the retention; the names of the dropped months. Raises ArchiveAwayError."""
        async with connection(self.pool) as db:
            async with db.transaction():
                await db.execute("SELECT pg_advisory_xact_lock($1)", MONTH_LOCK)
                dropped = [row["name"] for row in await all_of(queries.drop_events_before(db, moment=now - retention))]
            while await self._forget_some(db, now - retention):
                pass
        self._months.clear()
        return dropped

    async def _forget_some(self, db: Any, moment: datetime) -> bool:
        done = await queries.forget_messages(db, moment=moment, limit=FORGET_SLICE)
        return str(done).rpartition(" ")[2] not in ("0", "")


def leave_out(placed: Placed, fault: Exception) -> None:
    """Told, and left where it is: in Kafka."""
    place = f"events/{placed.partition}/{placed.position}"
    logger.error("event_not_stored", place=place, event_id=placed.event.event_id[:200], reason=repr(fault)[:500])


def month(moment: datetime) -> datetime:
    """The first of its month, UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


async def _advance(db: Any, reaches: dict[int, Reach]) -> set[int]:
    found = await all_of(
        queries.advance(
            db,
            partitions=list(reaches),
            expected=[reach.start for reach in reaches.values()],
            next=[reach.end for reach in reaches.values()],
            as_of=[reach.as_of for reach in reaches.values()],
        )
    )
    return {row["partition"] for row in found}


async def _write(db: Any, rows: Rows) -> None:
    """Events are new and copied as they are; messages and deliveries are merged into what is there."""
    await _copy(db, "events", EventRow, rows.events)
    await _copy(db, "staged_messages", MessageRow, rows.messages)
    await queries.merge_messages(db)
    if rows.deliveries:
        await _copy(db, "staged_deliveries", DeliveryRow, rows.deliveries)
        await queries.merge_deliveries(db)
    for erased in (row for row in rows.messages if row.erased):
        first = f"{erased.id}!{erased.birth}!"
        await queries.erase_events(db, first=first, after=first[:-1] + '"')
        await queries.erase_deliveries(db, id=erased.id, birth=erased.birth)


async def _copy(db: Any, table: str, kind: Any, rows: Iterable[Any]) -> None:
    await db.copy_records_to_table(table, records=rows, columns=kind._fields)
