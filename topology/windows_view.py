"""What owners tell of their windows, as a gateway knows it: the topic `windows`, read on whenever somebody asks."""

import asyncio
from typing import assert_never

from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from agents.ports import Clock, Stored
from schemas.times import MINUTE_MS
from schemas.window_records import OwnerRecord, Window, WindowRecord, merged, minute_ms_of
from schemas.wire import read_window
from topology.fetch import read_partition
from topology.producer import Kafka

FRESH_MS = 250
"""So long an answer serves others who ask: owners tell their windows once a second."""
KEPT_MS = 8 * 24 * 60 * MINUTE_MS
"""How far back windows are kept in memory."""


class WindowsView:
    """All windows since eight days ago and all to come, by partition; the newest owner's word counts."""

    def __init__(self, kafka: Kafka, topic: str, partitions: int, clock: Clock, look_ahead_ms: int) -> None:
        """Reads nothing before the first question; `kafka` is started and stopped by others."""
        self._kafka, self._clock, self._look_ahead_ms = kafka, clock, look_ahead_ms
        self._places = [TopicPartition(topic, n) for n in range(partitions)]
        self._positions = dict.fromkeys(self._places, 0)
        self._windows: dict[int, dict[int, WindowRecord]] = {}
        self._owners: dict[int, OwnerRecord] = {}
        self._reading = asyncio.Lock()
        self._read_at_ms = -FRESH_MS

    async def windows(self, from_ms: int, until_ms: int) -> list[Window]:
        """Those that begin in [from, until), in order; minutes with nothing in them are left out.

        Raises KafkaError, LogBrokenError, NewerRecordError.
        """
        await self._refresh()
        now = self._clock.now_ms()
        minutes = sorted(minute for minute in self._windows if from_ms <= minute < until_ms)
        return [merged(m, self._windows[m].values(), now, self._look_ahead_ms) for m in minutes]

    async def owners(self) -> dict[int, OwnerRecord]:
        """The last word of each partition's owner, by partition. Raises as `windows`."""
        await self._refresh()
        return dict(sorted(self._owners.items()))

    async def _refresh(self) -> None:
        asked = self._clock.now_ms()
        async with self._reading:
            if asked - self._read_at_ms < FRESH_MS:
                return
            began = self._clock.now_ms()
            for place in self._places:
                await self._read_on(place)
            self._read_at_ms = began
            self._drop_old(began - KEPT_MS)

    async def _read_on(self, place: TopicPartition) -> None:
        end = await self._kafka.end_of(place)
        start = max(self._positions[place], await self._kafka.start_of(place))
        try:
            async for records in read_partition(self._kafka.reader, place, min(start, end), end):
                for stored in records:
                    self._take(stored)
        except OffsetOutOfRangeError:
            start = end = 0  # the topic was made anew: it is read from its beginning next time
        self._positions[place] = end

    def _take(self, stored: Stored) -> None:
        if stored.value is None:
            return
        record = read_window(stored.value)
        match record:
            case OwnerRecord():
                known = self._owners.get(record.partition)
                if known is None or known.epoch <= record.epoch:
                    self._owners[record.partition] = record
            case WindowRecord():
                parts = self._windows.setdefault(minute_ms_of(record), {})
                before = parts.get(record.partition)
                if before is None or before.epoch <= record.epoch:
                    parts[record.partition] = record
            case _:
                assert_never(record)

    def _drop_old(self, before_ms: int) -> None:
        for minute in [m for m in self._windows if m < before_ms]:
            del self._windows[minute]
