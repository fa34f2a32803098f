"""The way of commands into one partition: packed, one awaited batch at a time (aiokafka garbles concurrent ones)."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import NamedTuple

BATCH_BYTES_MAX = 900 * 1024
"""Of commands in one batch: with their Kafka framing they stay below the 1 MiB that brokers take."""
BACKLOG_BYTES_MAX = 64 * 1024 * 1024

Write = Callable[[int, Sequence[bytes]], Awaitable[None]]
"""Writes the elements into a partition, durably and in order; an exception: they may or may not be there."""


class LaneFullError(Exception):
    """The lane's backlog is too large; nothing of this load was taken."""


class _Load(NamedTuple):
    end: int
    done: "asyncio.Future[None]"


class CommandLane:
    """Loads come in at any time; what has come in while a batch is under way goes into the next one."""

    def __init__(self, partition: int, write: Write) -> None:
        self._partition = partition
        self._write = write
        self._queue: deque[bytes] = deque()
        self._loads: deque[_Load] = deque()
        self._taken = 0
        self._written = 0
        self._bytes = 0
        self._writer: asyncio.Task[None] | None = None

    def put(self, elements: Sequence[bytes]) -> "asyncio.Future[None]":
        """A future that is done when all are durable, or has the write's exception. Raises LaneFullError."""
        if self._bytes > BACKLOG_BYTES_MAX:
            raise LaneFullError(f"{self._bytes >> 20} MiB of commands wait for partition {self._partition}")
        self._queue.extend(elements)
        self._bytes += sum(map(len, elements))
        self._taken += len(elements)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loads.append(_Load(self._taken, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._run(), name=f"command lane {self._partition}")
        return done

    async def drained(self) -> None:
        """Returns once nothing is queued or under way."""
        while self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer])

    async def _run(self) -> None:
        while self._queue:
            batch = self._next_batch()
            try:
                await self._write(self._partition, batch)
            except Exception as fault:  # noqa: BLE001  told to every caller, who alone knows what to do
                self._fail(fault)
            else:
                self._settle(len(batch))

    def _next_batch(self) -> list[bytes]:
        size = count = 0
        for element in self._queue:
            size += len(element) + 1
            if count and size > BATCH_BYTES_MAX:
                break
            count += 1
        return list(islice(self._queue, count))

    def _settle(self, count: int) -> None:
        for _ in range(count):
            self._bytes -= len(self._queue.popleft())
        self._written += count
        while self._loads and self._loads[0].end <= self._written:
            done = self._loads.popleft().done
            if not done.done():
                done.set_result(None)

    def _fail(self, fault: Exception) -> None:
        """All that waits fails with it: order would be lost if what comes later overtook a repeat."""
        loads, self._loads = self._loads, deque()
        self._queue.clear()
        self._bytes = 0
        self._written = self._taken
        for load in loads:
            if not load.done.done():
                load.done.set_exception(fault)
                load.done.exception()  # a caller who went away must not leave a warning behind
