"""A courier's open breakers on the topic `settings`, for people: told when they change, and now and then all the same."""

import uuid
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog
from msgspec.structs import replace

from agents.ports import Clock, LogBrokenError
from schemas.breaker import Breaker
from schemas.breaker_view import AGAIN_MS, is_silent, told
from schemas.settings_records import Breakers, Setting
from schemas.times import ms_of

LOOK_MS = 1_000
logger = structlog.get_logger(__name__)

Known = Mapping[str, Mapping[str, Breaker]]
"""The breakers of each channel of this process, by endpoint."""


class Table(Protocol):
    """The part of SettingsTable that is used here."""

    def all(self, kind: type[Breakers]) -> dict[str, Breakers]:
        """What couriers have told, by key."""
        ...

    async def put(self, record: Setting) -> None:
        """Raises LogBrokenError."""
        ...

    async def remove(self, kind: type[Setting], key: str) -> None:
        """Raises LogBrokenError."""
        ...


class BreakerBoard:
    """What this process has told of each channel. A courier of this name lives as long as its process."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock
        self._name = uuid.uuid4().hex[:12]
        self._told: dict[str, Breakers] = {}

    async def run(self, known: Callable[[], Known]) -> None:
        """Until it is cancelled. What cannot be written is written later: no message waits for it."""
        while True:
            await self._clock.sleep_ms(LOOK_MS)
            try:
                await self.look(known())
            except LogBrokenError as fault:
                logger.warning("breakers_not_told", fault=str(fault))

    async def look(self, known: Known) -> None:
        """Once: tell what has changed, and take back what is over. Raises LogBrokenError."""
        now = self._clock.now_ms()
        for channel, breakers in known.items():
            if breakers or channel in self._told:
                await self._tell(told(channel, f"{channel}/{self._name}", breakers, now), now)
        for key, record in self._table.all(Breakers).items():
            if is_silent(record, now):  # of a courier that was killed
                await self._table.remove(Breakers, key)

    async def close(self) -> None:
        """Take back what was told: nobody is held up by a courier that has stopped. Raises LogBrokenError."""
        for key in [record.key for record in self._told.values()]:
            await self._table.remove(Breakers, key)
        self._told.clear()

    async def _tell(self, record: Breakers, now_ms: int) -> None:
        before = self._told.get(record.channel)
        if not record.open:
            if before is not None:
                await self._table.remove(Breakers, record.key)
                del self._told[record.channel]
        elif before is None or now_ms - ms_of(before.at) >= AGAIN_MS or replace(before, at=record.at) != record:
            await self._table.put(record)
            self._told[record.channel] = record
