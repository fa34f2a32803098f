"""One partition of one topic as agents.ports.Log, over aiokafka."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition

from agents.ports import LogBrokenError, Record, Stored
from topology.fetch import read_partition
from topology.topics import RECORD_BYTES_MAX

if TYPE_CHECKING:
    from topology.producer import Kafka, Lane


class RecordTooLargeError(ValueError):
    """A record that no broker would take; nothing was written."""


class Wanted(NamedTuple):
    """What one caller wants written."""

    records: Sequence[Record]
    landed: asyncio.Future[int]

    def tell(self, offset: int) -> None:
        """It is in Kafka from this offset on."""
        if not self.landed.done():
            self.landed.set_result(offset)

    def fail(self, error: BaseException) -> None:
        """It may or may not be."""
        if not self.landed.done():
            self.landed.set_exception(error if isinstance(error, Exception) else LogBrokenError(f"given up: {error!r}"))


class KafkaLog:
    """Implements agents.ports.Log. Strictly serial: aiokafka breaks the order of concurrent batches (aiokafka 0.14)."""

    def __init__(self, kafka: "Kafka", lane: "Lane", partition: TopicPartition) -> None:
        self._kafka = kafka
        self._lane = lane
        self._partition = partition
        self._wanted: list[Wanted] = []
        self._writing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"KafkaLog({self._partition.topic}/{self._partition.partition})"

    async def append(self, records: Sequence[Record]) -> int:
        """Write in order; the offset of the first once all are acknowledged.

        What several callers want to write while a write is under way is the next write (group commit). Where another
        writer came between two batches of one call, it is the offset that the first would have had if the last landed
        right: never the expected one, so a single writer sees it. Raises LogBrokenError when it may or may not have
        landed, RecordTooLargeError before anything is written, ValueError for no records.
        """
        if not records:
            raise ValueError(f"{self}: nothing to append")
        wanted = Wanted(records, asyncio.get_running_loop().create_future())
        self._wanted.append(wanted)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await wanted.landed

    async def _write(self) -> None:
        try:
            while self._wanted:
                group, self._wanted = self._wanted, []
                try:
                    await self._write_group(group)
                except BaseException as error:
                    for wanted in group:
                        wanted.fail(error)
                    if not isinstance(error, Exception):
                        raise
        finally:
            self._writing = None

    async def _write_group(self, group: "list[Wanted]") -> None:
        """One produce after another; each caller hears of its own as soon as it has landed."""
        producer = await self._producer()
        waiting = deque(group)
        ends = accumulate(len(wanted.records) for wanted in group)
        end = next(ends)
        written = 0
        for batch in list(batches_of(producer, [record for wanted in group for record in wanted.records])):
            offset = await self._send(producer, batch)
            count = batch.record_count()
            while waiting and end <= written + count:
                wanted = waiting.popleft()
                wanted.tell(offset + end - written - len(wanted.records))
                end = next(ends, end)
            written += count

    async def _producer(self) -> AIOKafkaProducer:
        try:
            return await self._lane.producer()
        except Exception as error:
            raise LogBrokenError(f"{self}: no producer can be started: {error!r}") from error

    async def _send(self, producer: AIOKafkaProducer, batch: Any) -> int:
        try:
            sent = await producer.send_batch(batch, self._partition.topic, partition=self._partition.partition)
            offset: int = (await sent).offset
        except Exception as error:
            self._lane.drop(producer)
            raise LogBrokenError(f"{self}: a write of {batch.record_count()} records failed: {error!r}") from error
        if offset < 0:  # written by an earlier try, but the broker no longer knows where
            self._lane.drop(producer)
            raise LogBrokenError(f"{self}: {batch.record_count()} records landed at an unknown offset")
        return offset

    async def read(self, start: int, end: int) -> AsyncIterator[list[Stored]]:
        """The records in [start, end), in slices; from the log's start where `start` is gone. Gaps are normal.

        Raises LogBrokenError after 60 s without an answer, OffsetOutOfRangeError where `start` is beyond the log's end.
        """
        if start >= end:
            return
        start = max(start, await self.start())
        async for records in read_partition(self._kafka.reader, self._partition, start, end):
            yield records

    async def end(self) -> int:
        """The offset that the next record will get. Raises KafkaError."""
        return await self._kafka.end_of(self._partition)

    async def start(self) -> int:
        """The offset of the oldest record that is kept. Raises KafkaError."""
        return await self._kafka.start_of(self._partition)


def batches_of(producer: AIOKafkaProducer, records: Sequence[Record]) -> Iterator[Any]:
    """Closed batches of up to 1 MiB; a larger record has one to itself. Raises RecordTooLargeError."""
    start = 0
    while start < len(records):
        batch = producer.create_batch()
        start += _fill(batch, records, start)
        yield _checked(batch)


def _fill(batch: Any, records: Sequence[Record], start: int) -> int:
    """Put in what fits, one record at least; how many. Not by `batch.append`: that costs four times as much."""
    append = batch._builder.append  # noqa: SLF001
    count = 0
    for record in records[start:] if start else records:
        if append(count, None, record.key, record.value, [*record.headers]) is None:
            break
        count += 1
    batch._relative_offset = count  # noqa: SLF001
    return count


def _checked(batch: Any) -> Any:
    batch.close()
    if batch.size() > RECORD_BYTES_MAX:
        raise RecordTooLargeError(f"a record of {batch.size()} bytes: {RECORD_BYTES_MAX} at most")
    return batch
