"""Due records as bytes: what cannot be read goes to the dead letters, and the rest goes on (G6)."""

from datetime import datetime
from typing import NamedTuple

from msgspec import DecodeError

from agents.ports import Log, Record, Stored
from schemas.due import DueMessage, Fence
from schemas.events import Unreadable
from schemas.times import at
from schemas.wire import UnreadableError, elements, encode, read_due

SHOWN_MAX = 64 * 1024
REMEDY = "find who writes to this topic, only schedulers may; the owner emits the message again after 15 minutes"


class _Place(NamedTuple):
    topic: str
    offset: int
    element: int | None = None


class DueReader:
    """Of one partition. Its dead letters are appended one at a time."""

    def __init__(self, topic: str, partition: int, dead_letters: Log) -> None:
        self._topic = topic
        self._partition = partition
        self._dead_letters = dead_letters

    async def read(self, offset: int, value: bytes | None, now: datetime) -> list[DueMessage | Fence]:
        """What can be read of a record; the rest is buried. Raises wire.NewerRecordError, LogBrokenError."""
        try:
            return read_due(value or b"")
        except UnreadableError as error:
            return await self._what_can_be_read(offset, value or b"", error, now)

    async def _what_can_be_read(
        self, offset: int, value: bytes, whole: UnreadableError, now: datetime
    ) -> list[DueMessage | Fence]:
        if not value.lstrip().startswith(b"["):
            return await self._one(_Place(self._topic, offset), value, now)
        try:
            parts = elements(value)
        except (DecodeError, UnicodeDecodeError):
            await self._bury(_Place(self._topic, offset), value, whole, now)
            return []
        found: list[DueMessage | Fence] = []
        for n, part in enumerate(parts):
            found += await self._one(_Place(self._topic, offset, n), bytes(part), now)
        return found

    async def _one(self, place: _Place, value: bytes, now: datetime) -> list[DueMessage | Fence]:
        try:
            if not value:
                raise UnreadableError("the record has no value")  # noqa: TRY301 - told as any other fault
            return read_due(b"[" + value + b"]")
        except UnreadableError as error:
            await self._bury(place, value, error, now)
            return []

    async def unreadable_outcome(self, stored: Stored, error: Exception) -> None:
        """Bury a record of the outcomes partition."""
        topic = self._topic.replace("due.", "outcomes.", 1)
        await self._bury(_Place(topic, stored.offset), stored.value or b"", error, at(stored.at_ms))

    async def _bury(self, place: _Place, value: bytes, error: Exception, now: datetime) -> None:
        letter = Unreadable(
            topic=place.topic,
            partition=self._partition,
            offset=place.offset,
            element=place.element,
            at=now,
            fault=str(error)[:1_000],
            remedy=REMEDY,
            value=value[:SHOWN_MAX].decode(errors="replace"),
        )
        await self._dead_letters.append(
            [Record(f"{place.topic}/{self._partition}/{place.offset}".encode(), encode(letter))]
        )
