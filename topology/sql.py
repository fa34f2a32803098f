"""The SQL of queries.sql, as functions of a connection."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosql

MIGRATIONS = Path(__file__).parent / "migrations"
queries: Any = aiosql.from_path(Path(__file__).parent / "queries.sql", "asyncpg")


async def all_of(rows: AsyncIterator[Any]) -> list[Any]:
    """The rows of a query: it has fetched them all when the first is given."""
    return [row async for row in rows]
