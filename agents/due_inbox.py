"""Due records on their way into a courier, in order, each once: from the stream, or from the log what that did not bring."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from agents.ports import Log
from agents.source import Source

WAITING_BYTES_MAX = 8 * 1024 * 1024
"""Taken in, and not read yet."""
FED_BYTES_MAX = 64 * 1024 * 1024
"""Brought by the stream, and not finished: each event holds its record until then."""


class DueInbox:
    """`arrived` is called when there is something to take."""

    def __init__(self, log: Log, arrived: Callable[[], None]) -> None:
        """Nothing is taken in before `start`."""
        self.source = Source(log)
        self._arrived = arrived
        self._records: deque[tuple[int, bytes | None]] = deque()
        self._waiting = self._fed = 0
        self._room, self._space = asyncio.Event(), asyncio.Event()
        self._room.set()
        self._space.set()
        self._quiet = self._closed = False

    def __bool__(self) -> bool:
        """Whether there is something to take."""
        return bool(self._records)

    def start(self, since: int) -> None:
        """All from this offset on is to be taken in."""
        self.source.start(since)

    def feed(self, offset: int, value: bytes | None, done: Callable[[], object]) -> None:
        """A record from the stream; `done` is called when it and all before it are finished."""
        size = len(value or b"")
        self._fed += size
        self._quiet = self._quiet and offset < self.source.next  # what is done already may come again, at great length
        room = not self._closed and self._waiting < WAITING_BYTES_MAX
        if self.source.offer(offset, partial(self._told, size, done), room=room):
            self._put(offset, value)
        self._measure()

    def take(self) -> tuple[int, bytes | None]:
        """The next record. Raises IndexError when there is none."""
        offset, value = self._records.popleft()
        self._waiting -= len(value or b"")
        self._measure()
        return offset, value

    async def room(self) -> None:
        """Return when another record may be fed."""
        await self._room.wait()

    async def look(self) -> None:
        """Where the stream has brought nothing since the last look: read the log up to its end, as it is now."""
        quiet, self._quiet = self._quiet, True
        if quiet:
            await self.source.look()

    async def read(self) -> None:
        """Read what the stream did not bring, as there is room, until cancelled. Raises LogBrokenError, KafkaError."""
        while True:
            await self.source.fell_behind.wait()
            async for record in self.source.rest():
                self._put(record.offset, record.value)
                self._measure()
                await self._space.wait()  # not for room: what the stream brought may wait for what is read here

    def close(self) -> None:
        """Nothing more is to be taken; whoever waits for room may go on."""
        self._closed = True
        self._records.clear()
        self._measure()

    def _put(self, offset: int, value: bytes | None) -> None:
        self._records.append((offset, value))
        self._waiting += len(value or b"")
        self._arrived()

    def _told(self, size: int, done: Callable[[], object]) -> None:
        self._fed -= size
        done()
        self._measure()

    def _measure(self) -> None:
        space = self._closed or self._waiting < WAITING_BYTES_MAX
        for event, is_open in (
            (self._space, space),
            (self._room, space and (self._closed or self._fed < FED_BYTES_MAX)),
        ):
            if is_open:
                event.set()
            else:
                event.clear()
