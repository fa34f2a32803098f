"""What is set at run time, as every process knows it: the topic `settings`, read whole, then followed."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from agents.ports import LogBrokenError, Record, Stored
from schemas.settings_records import Setting, setting_key
from schemas.wire import UnreadableError, encode, read_setting
from topology.fetch import follow_partition
from topology.producer import Kafka

HELD_MS = 2_000
"""A fetch that finds nothing is held so long; what is written meanwhile ends it at once."""
AGAIN_S = 0.5
READ_BACK_S = 10
logger = structlog.get_logger(__name__)

S = TypeVar("S", bound=Setting)
OnChange = Callable[[str, Any], None]
"""Told the key and the record, or None where it was removed."""


class SettingsTable:
    """All settings by kind and key: `start` before use, `stop` before its Kafka stops.

    Any process may write; the last write stands. A change is seen everywhere within about 100 ms. `broken` is told of
    what only a new process mends: NewerRecordError.
    """

    def __init__(self, kafka: Kafka, topic: str, broken: Callable[[BaseException], None]) -> None:
        self._place = TopicPartition(topic, 0)
        self._kafka = kafka
        self._log = kafka.log(topic, 0, "settings")
        self._broken = broken
        self._records: dict[str, Setting] = {}
        self._position = 0
        self._moved = asyncio.Event()
        self._listeners: list[tuple[type[Any], OnChange]] = []
        self._client: AIOKafkaClient | None = None
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when all that was written before is known. Raises KafkaError, NewerRecordError, LogBrokenError."""
        self._client = AIOKafkaClient(**self._kafka.arguments | {"client_id": "clepsydra-settings"})
        try:
            await self._client.bootstrap()
            end = await self._kafka.end_of(self._place)
            self._following = asyncio.create_task(self._follow(), name="settings")
            await self._first(end, self._following)
        except BaseException:
            await self.stop()
            raise
        self._following.add_done_callback(self._ended)

    async def _first(self, end: int, following: "asyncio.Task[None]") -> None:
        """Until the end is reached; raises what ended the following, if that came before."""
        reached = asyncio.ensure_future(self._reached(end))
        await asyncio.wait([reached, following], return_when=asyncio.FIRST_COMPLETED)
        if not reached.done():
            reached.cancel()
            following.result()

    async def stop(self) -> None:
        """Stop following. What is being written ends by itself."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
        if self._client is not None:
            await self._client.close()

    def get(self, kind: type[S], key: str) -> S | None:
        """The record of this key."""
        found = self._records.get(setting_key(kind, key))
        return found if isinstance(found, kind) else None

    def all(self, kind: type[S]) -> dict[str, S]:
        """All records of a kind, by key."""
        return {record.key: record for record in self._records.values() if isinstance(record, kind)}

    def on_change(self, kind: type[S], tell: Callable[[str, S | None], None]) -> None:
        """From now on `tell` hears of each change of this kind, own ones too; of what is there already, at once."""
        self._listeners.append((kind, tell))
        for key, record in self.all(kind).items():
            tell(key, record)

    async def put(self, record: Setting) -> None:
        """Returns when it is durable and `get` gives it. Raises LogBrokenError: it may or may not be; put it again."""
        await self._write(setting_key(type(record), record.key), encode(record))

    async def remove(self, kind: type[Setting], key: str) -> None:
        """Returns when it is durably gone, or never was there. Raises LogBrokenError, as `put`."""
        await self._write(setting_key(kind, key), None)

    async def _write(self, key: str, value: bytes | None) -> None:
        offset = await self._log.append([Record(key.encode(), value)])
        try:
            async with asyncio.timeout(READ_BACK_S):
                await self._reached(offset + 1)
        except TimeoutError:
            raise LogBrokenError(f"{key} was written, but not read again within {READ_BACK_S} s") from None

    async def _reached(self, offset: int) -> None:
        while self._position < offset:
            await self._moved.wait()

    async def _follow(self) -> None:
        """Until it is cancelled or finds what a newer release wrote. Brokers may be away for as long as they like."""
        while True:
            try:
                await self._follow_on()
            except (KafkaError, LogBrokenError) as fault:
                logger.warning("settings.unreachable", fault=repr(fault))
                await asyncio.sleep(AGAIN_S)

    async def _follow_on(self) -> None:
        assert self._client is not None
        try:
            async for records, position in follow_partition(self._client, self._place, self._position, HELD_MS):
                for stored in records:
                    self._take(stored)
                self._move(position)
        except OffsetOutOfRangeError:
            await self._begin_again()

    def _take(self, stored: Stored) -> None:
        key = (stored.key or b"").decode(errors="replace")
        try:
            record = None if stored.value is None else read_setting(stored.value)
        except UnreadableError as fault:
            remedy = "set it again, or upgrade if a newer release wrote it; what was set before stands"
            logger.warning("settings.unreadable", key=key, offset=stored.offset, fault=str(fault), remedy=remedy)
            return
        old = self._records.pop(key, None)
        if record is not None:
            self._records[key] = record
        if record != old:
            self._tell(old, record)

    def _tell(self, old: Setting | None, new: Setting | None) -> None:
        known = new or old
        assert known is not None
        for kind, tell in self._listeners:
            if isinstance(known, kind):
                tell(known.key, new)

    def _move(self, position: int) -> None:
        self._position = position
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _begin_again(self) -> None:
        """The log is not the one that was followed, or was cut: what is set is what it says now."""
        start = await self._kafka.start_of(self._place)
        logger.warning("settings.begun_again", position=self._position, log_start=start)
        gone, self._records = self._records, {}
        for old in gone.values():
            self._tell(old, None)
        self._position = start

    def _ended(self, task: "asyncio.Task[None]") -> None:
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            self._broken(fault)
