"""What the archive can be asked: pages of messages and of dead letters, ids for sweeps, how far it is."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Self

from msgspec import Struct

from agents.ports import Clock
from schemas.decisions import Policy
from schemas.times import at
from topology.archive_errors import ArchiveAwayError, ArchiveMissingError
from topology.clock import SystemClock
from topology.postgres import connection, make_pool
from topology.settings import Settings
from topology.sql import all_of, queries

LOOK_AGAIN_S = 0.03
QUERY_S = 20.0
SWEEP_PAGE = 1_000
HELD = timedelta(milliseconds=Policy(delays_ms={}).held_whole_ms)
"""So long an owner remembers a dead letter; after that nobody can act on it."""
LIVE_STATES = ("scheduled", "retrying")

Order = Literal["asc", "desc"]


class Filter(Struct, frozen=True, kw_only=True):
    """Which messages; what is None asks nothing. `due_from` is the first instant, `due_to` the one after the last."""

    states: tuple[str, ...] | None = None
    account: str | None = None
    tag: str | None = None
    channel: str | None = None
    id_prefix: str | None = None
    due_from: datetime | None = None
    due_to: datetime | None = None


class MessageKey(Struct, frozen=True):
    """A place in a list of messages: its order is that of due times, then ids."""

    due_at: datetime
    id: str
    birth: int


class Match(NamedTuple):
    """A message that a sweep is about, as the archive knows it."""

    id: str
    revision: int
    due_at: datetime


class LetterKey(Struct, frozen=True):
    """A place in the list of dead letters."""

    updated_at: datetime
    id: str
    birth: int
    target: int


class Page(Struct, frozen=True, kw_only=True):
    """Rows as the archive has them, and the time as of which it knew all that had happened."""

    rows: list[Mapping[str, Any]]
    as_of: datetime | None


class Archive:
    """Reads the archive. Every method raises ArchiveAwayError while it cannot be asked; nothing waits for it."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        """Nothing is connected before it is asked."""
        self._settings = settings
        self._clock = clock or SystemClock()
        self._pool: Any = None

    async def __aenter__(self) -> Self:
        if self.configured:
            self._pool = await make_pool(self._settings, size=8, command_s=QUERY_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.terminate()

    @property
    def configured(self) -> bool:
        """Whether there is an archive at all."""
        return self._settings.postgres is not None

    async def messages(
        self, wanted: Filter, *, after: MessageKey | None = None, limit: int = 100, order: Order = "asc"
    ) -> Page:
        """A page in order of due time, id and birth. Stable: what is inserted meanwhile moves nothing else."""
        query = queries.messages_up if order == "asc" else queries.messages_down
        async with connection(self._checked()) as db, db.transaction(isolation="repeatable_read", readonly=True):
            found = await all_of(query(db, **_given(wanted), **_after(after), limit=limit))
            return Page(rows=found, as_of=await self._as_of(db))

    async def dead_letters(self, wanted: Filter, *, after: LetterKey | None = None, limit: int = 100) -> Page:
        """A page of what waits for a person, the oldest first; of the filter, states, account and channel count."""
        place = {
            "after_at": after and after.updated_at,
            "after_id": after and after.id,
            "after_birth": after and after.birth,
            "after_target": after and after.target,
        }
        states = None if wanted.states is None else list(wanted.states)
        since = at(self._clock.now_ms()) - HELD
        async with connection(self._checked()) as db, db.transaction(isolation="repeatable_read", readonly=True):
            found = await all_of(
                queries.dead_letters(
                    db, since=since, states=states, account=wanted.account, channel=wanted.channel, **place, limit=limit
                )
            )
            return Page(rows=found, as_of=await self._as_of(db))

    async def matching(self, wanted: Filter, *, page: int = SWEEP_PAGE) -> AsyncGenerator[list[Match]]:
        """What a sweep is about, page after page in order of due time; without `states` what may still be changed.

        All from one snapshot, so each message once, whatever moves meanwhile. What the archive has not taken in yet is
        not found: see `caught_up`. Close it when it is left early: it holds a connection.
        """
        given = _given(wanted)
        given["states"] = given["states"] or list(LIVE_STATES)
        after: MessageKey | None = None
        async with connection(self._checked()) as db, db.transaction(isolation="repeatable_read", readonly=True):
            while True:
                found = await all_of(queries.matching(db, **given, **_after(after), limit=page))
                if found:
                    yield [Match(row["id"], row["revision"], row["due_at"]) for row in found]
                if len(found) < page:
                    return
                after = MessageKey(found[-1]["due_at"], found[-1]["id"], found[-1]["birth"])

    async def caught_up(self, ends: Mapping[int, int], timeout_s: float) -> bool:
        """Whether the archive has, in time, all of `events` below these offsets, by partition."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await self._has(ends):  # noqa: ASYNC110 - another process writes what is waited for
                    await asyncio.sleep(LOOK_AGAIN_S)
        except TimeoutError:
            return False
        return True

    async def offsets(self) -> dict[int, tuple[int, datetime]]:
        """How far each partition of `events` is archived, and as of when."""
        async with connection(self._checked()) as db:
            return {row["partition"]: (row["next"], row["as_of"]) for row in await all_of(queries.offsets(db))}

    async def as_of(self) -> datetime | None:
        """The time as of which it knows all that has happened; None before it has begun."""
        async with connection(self._checked()) as db:
            return await self._as_of(db)

    async def counts(self) -> Mapping[str, Any]:
        """How many events, messages, deliveries and dead letters; the time of the oldest event."""
        async with connection(self._checked()) as db:
            found: Mapping[str, Any] = await queries.counts(db)
            return found

    async def _has(self, ends: Mapping[int, int]) -> bool:
        found = await self.offsets()
        return all(partition in found and found[partition][0] >= end for partition, end in ends.items() if end)

    async def _as_of(self, db: Any) -> datetime | None:
        found = [row["as_of"] for row in await all_of(queries.offsets(db))]
        return min(found) if len(found) >= self._settings.partitions else None

    def _checked(self) -> Any:
        if self._pool is None:
            raise ArchiveMissingError
        return self._pool


def _given(wanted: Filter) -> dict[str, Any]:
    states = None if wanted.states is None else list(wanted.states)
    return {
        "states": states,
        "account": wanted.account,
        "tag": wanted.tag,
        "channel": wanted.channel,
        "id_prefix": wanted.id_prefix,
        "due_from": wanted.due_from,
        "due_to": wanted.due_to,
    }


def _after(key: MessageKey | None) -> dict[str, Any]:
    return {"after_due": key and key.due_at, "after_id": key and key.id, "after_birth": key and key.birth}


__all__ = ["Archive", "ArchiveAwayError", "Filter", "LetterKey", "Match", "MessageKey", "Order", "Page"]
