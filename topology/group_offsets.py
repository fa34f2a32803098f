"""A group's committed offset that lies beyond the end of its log is set back (rule 1: committed offsets are for tools).

Faust passes over every record below the committed offset: after a log was made anew, or an offset was set wrongly,
nothing more would be taken from that partition. What is read again from its start decides and sends nothing anew.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP


async def set_back(thread: Any, places: Iterable[Any]) -> list[str]:
    """Partitions whose offset was beyond the log, as `topic/partition`. `thread`: Faust's consumer thread."""
    mine = [TopicPartition(place.topic, place.partition) for place in places]
    found: list[str] = await thread.call_thread(_set_back, thread._consumer, mine) if mine else []  # noqa: SLF001
    return found


async def committed_now(thread: Any, places: Iterable[TopicPartition]) -> list[int]:
    """What the group has committed, asked of the brokers; 0 where nothing is. Raises KafkaError."""
    found: list[int] = await thread.call_thread(_committed, thread._consumer, list(places))  # noqa: SLF001
    return found


async def _committed(consumer: AIOKafkaConsumer, places: list[TopicPartition]) -> list[int]:
    return [offset or 0 for offset in await asyncio.gather(*(consumer.committed(place) for place in places))]


def committed(consumer: Any, topic: str, partition: int) -> int | None:
    """What Faust's consumer believes to be committed; None before it knows."""
    found: int | None = consumer._committed_offset.get(TP(topic, partition))  # noqa: SLF001 - no public way
    return found


async def move(consumer: Any, topic: str, partition: int, offset: int) -> None:
    """Commit what is finished, past a hole in what Faust's consumer was told (faust issue 596). Its own commits go on from there."""
    place = TP(topic, partition)
    if await consumer._commit({place: offset}):  # noqa: SLF001 - no public way
        consumer._committed_offset[place] = offset  # noqa: SLF001
        consumer._acked[place][:] = [n for n in consumer._acked[place] if n >= offset]  # noqa: SLF001
        consumer._acked_index[place].intersection_update(consumer._acked[place])  # noqa: SLF001


async def _set_back(consumer: AIOKafkaConsumer, places: list[TopicPartition]) -> list[str]:
    ends = await consumer.end_offsets(places)
    committed = await asyncio.gather(*(consumer.committed(place) for place in places))
    beyond = [place for place, offset in zip(places, committed, strict=True) if (offset or 0) > ends[place]]
    if beyond:
        await consumer.commit({place: OffsetAndMetadata(0, "") for place in beyond})
    return [f"{place.topic}/{place.partition}" for place in beyond]
