"""The archive's database: connections, its schema, and what "away" means."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg

from topology.archive_errors import ArchiveAwayError, ArchiveMissingError
from topology.settings import Settings
from topology.sql import MIGRATIONS, all_of, queries

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 60.0
MIGRATION_LOCK = 0x636C6570  # "clep": of the advisory locks of this database

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InternalClientError,  # what asyncpg makes of a connection that is lost in the middle of a COPY
)
"""No connection, a lost one, or a server that starts, stops or is told to cancel: it may be well again soon."""
CHANGED = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.FeatureNotSupportedError)
"""Tables that are not there yet, or were swapped for rebuilt ones while a statement was prepared for the old."""


def schema_of(settings: Settings) -> str:
    """The archive's schema, so that several prefixes can share a database."""
    return re.sub(r"[^a-z0-9_]", "_", settings.prefix.lower().rstrip("._-")) or "clepsydra"


def make_pool(
    settings: Settings, *, schema: str | None = None, size: int = 4, command_s: float = COMMAND_TIMEOUT_S
) -> Any:
    """A pool that connects when it is first used; await it, or enter it. Raises ArchiveMissingError.

    Plans are made for the values given: most filters of a list are null, and a plan for all would use no index.
    """
    if settings.postgres is None:
        raise ArchiveMissingError
    return asyncpg.create_pool(
        settings.postgres,
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=command_s,
        server_settings={
            "search_path": f'"{schema or schema_of(settings)}"',
            "application_name": "clepsydra",
            "plan_cache_mode": "force_custom_plan",
            "timezone": "UTC",
            "jit": "off",
        },
    )


@asynccontextmanager
async def connection(pool: Any) -> AsyncIterator[Any]:
    """A connection for a while. Raises ArchiveAwayError for whatever keeps the database from answering."""
    try:
        async with pool.acquire(timeout=CONNECT_TIMEOUT_S) as found:
            yield found
    except CHANGED as error:
        remedy = "an archivist makes the tables when it starts: run `clepsydra worker archivist`"
        raise ArchiveAwayError(f"its tables are not there ({error})", remedy) from error
    except AWAY as error:
        if isinstance(error, ValueError):  # a value that cannot be sent; the connection is well
            raise
        raise ArchiveAwayError(f"PostgreSQL cannot be used ({reason(error)})") from error


def reason(error: BaseException) -> str:
    """In a few words."""
    return str(error) or type(error).__name__


async def migrate(pool: Any, schema: str) -> list[str]:
    """Applies the numbered files of migrations/ that were not applied yet, each whole or not at all; their names.

    Raises ArchiveAwayError.
    """
    async with connection(pool) as db, db.transaction():
        await db.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
        await db.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        await queries.migrations_table(db)
        there = {row["name"] for row in await all_of(queries.applied_migrations(db))}
        missing = [file for file in sorted(MIGRATIONS.glob("*.sql")) if file.stem not in there]
        for file in missing:
            await db.execute(file.read_text())
            await queries.note_migration(db, name=file.stem)
    return [file.stem for file in missing]


def seconds(span: timedelta) -> float:
    """Of a setting."""
    return span.total_seconds()
