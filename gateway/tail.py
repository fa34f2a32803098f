"""Reading a topic as people want to: packs opened, one JSON line per element."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from msgspec import Raw, Struct

from gateway.errors import UserError
from schemas.times import rfc3339
from schemas.wire import elements
from topology.clients import client_arguments
from topology.settings import Settings

NULL = Raw(b"null")


class Tail(Struct, frozen=True, kw_only=True):
    """What to print of which topic."""

    name: str
    follow: bool
    from_beginning: bool
    message_id: str | None = None
    limit: int | None = None


class Line(Struct, frozen=True, kw_only=True):
    """One element, and where it lies. `value`: null for a tombstone, a string for what is no JSON."""

    partition: int
    offset: int
    at: str
    key: str | None
    value: Raw


class _Named(Struct, frozen=True):
    id: str | None = None
    key: str | None = None
    message: Any = None


async def tail_topic(settings: Settings, tail: Tail, show: Callable[[str], None]) -> None:
    """Shows each line. Raises UserError for an unknown topic, KafkaError."""
    left = tail.limit
    async with aclosing(_records(settings, tail)) as records:
        async for record in records:
            for line in lines(record):
                if tail.message_id is None or belongs(line, tail.message_id):
                    show(msgspec.json.encode(line).decode())
                    left = None if left is None else left - 1
                    if left == 0:
                        return


def lines(record: ConsumerRecord) -> Iterator[Line]:
    """A record's elements."""
    key = None if record.key is None else record.key.decode(errors="replace")
    for value in _opened(record.value):
        yield Line(partition=record.partition, offset=record.offset, at=rfc3339(record.timestamp), key=key, value=value)


def belongs(line: Line, message_id: str) -> bool:
    """Whether an element is about a message."""
    if line.key is not None and line.key.split("!")[0] in (message_id, f"{message_id}/0"):
        return True
    try:
        found = msgspec.json.decode(line.value, type=_Named)
    except msgspec.DecodeError:
        return False
    inner = found.message.get("id") if isinstance(found.message, dict) else None
    named = found.key is not None and found.key.rpartition("/")[0] == message_id
    return message_id in (found.id, inner) or named


def _opened(value: bytes | None) -> list[Raw]:
    if value is None:
        return [NULL]
    try:
        return [Raw(msgspec.json.format(bytes(each), indent=-1)) for each in elements(value)]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [Raw(msgspec.json.encode(value.decode(errors="replace")))]


async def _records(settings: Settings, tail: Tail) -> AsyncGenerator[ConsumerRecord, None]:
    consumer = AIOKafkaConsumer(**client_arguments(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await consumer.start()
        partitions = await _partitions(consumer, settings.prefix, tail.name)
        consumer.assign(partitions)
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, begins[partition] if tail.from_beginning else ends[partition])
        while tail.follow or await _short_of(consumer, ends):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    yield record
    finally:
        await consumer.stop()


async def _short_of(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    return any([await consumer.position(partition) < end for partition, end in ends.items()])


async def _partitions(consumer: AIOKafkaConsumer, prefix: str, name: str) -> list[TopicPartition]:
    known = await consumer.topics()
    topic = name if name in known else prefix + name
    if topic not in known:
        ours = ", ".join(sorted(each.removeprefix(prefix) for each in known if each.startswith(prefix)))
        raise UserError(f"there is no topic {topic}: " + (f"use one of {ours}" if ours else "see `topics create`"))
    consumer.subscribe([topic])
    await consumer._client.force_metadata_update()  # noqa: SLF001  partitions are known for subscribed topics only
    found = sorted(consumer.partitions_for_topic(topic) or ())
    consumer.unsubscribe()
    return [TopicPartition(topic, number) for number in found]
