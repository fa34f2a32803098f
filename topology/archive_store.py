"""Events into Postgres: one transaction per batch, with how far it reaches, so each event counts once."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from agents.archive_events import EventBatch, OvertakenError, Reach, StoreAwayError
from schemas.archive import DeliveryRow, EventRow, MessageRow, Placed, Rows, rows_of
from topology.postgres import ArchiveAwayError, connection
from topology.sql import all_of, queries

MONTH_LOCK = 0x636C6571
FORGET_SLICE = 5_000
DEADLOCKS = (asyncpg.TransactionRollbackError, asyncpg.InsufficientResourcesError)
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
                await _staging(db)
                async with db.transaction():
                    await self._store(db, batch)
        except ArchiveAwayError as away:
            raise StoreAwayError(away.why) from away
        except DEADLOCKS as error:
            raise StoreAwayError(str(error)) from error

    async def _store(self, db: Any, batch: EventBatch) -> None:
        moved = await _advance(db, batch.reaches)
        if moved != batch.reaches.keys():
            raise OvertakenError(f"partitions {sorted(batch.reaches.keys() - moved)} are not where they were")
        if not batch.placed:
            return
        ids = [placed.event.event_id for placed in batch.placed]
        known = {row["event_id"] for row in await all_of(queries.known_events(db, event_ids=ids))}
        rows = rows_of((p for p in batch.placed if p.event.event_id not in known), bodies=self._bodies)
        await _write(db, rows)

    async def _make_months(self, placed: Iterable[Placed]) -> None:
        """The months of these events and, ahead of time, the ones after them."""
        wanted = {month(p.event.at) for p in placed}
        wanted |= {month(m + timedelta(days=32)) for m in wanted}
        missing = sorted(wanted - self._months)
        if not missing:
            return
        async with connection(self.pool) as db, db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock($1)", MONTH_LOCK)
            for each in missing:
                await queries.make_events_month(db, month=each.date())
        self._months |= wanted

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


async def _staging(db: Any) -> None:
    await queries.staging(db)


async def _write(db: Any, rows: Rows) -> None:
    """Events are new and copied as they are; messages and deliveries are merged into what is there."""
    await db.copy_records_to_table("events", records=rows.events, columns=EventRow._fields)
    await db.copy_records_to_table("staged_messages", records=rows.messages, columns=MessageRow._fields)
    await queries.merge_messages(db)
    if rows.deliveries:
        await db.copy_records_to_table("staged_deliveries", records=rows.deliveries, columns=DeliveryRow._fields)
        await queries.merge_deliveries(db)
    for erased in (row for row in rows.messages if row.erased):
        first = f"{erased.id}!{erased.birth}!"
        await queries.erase_events(db, first=first, after=first[:-1] + '"')
        await queries.erase_deliveries(db, id=erased.id, birth=erased.birth)
