"""What the spouts' own records say: when each message was emitted, and in how many packs."""

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.figures import percentile
from schemas.due import DueMessage
from schemas.wire import read_due
from topology.settings import Settings
from topology.topics import TopicNames

POLL_MS = 200


async def emissions(settings: Settings, channel: str, due_ms: Mapping[str, int]) -> dict[str, float]:
    """Lateness at emission, before the write to Kafka, and messages per pack. The rest is Kafka's and the courier's."""
    topic = TopicNames(settings.prefix).due(channel)
    partitions = [TopicPartition(topic, n) for n in range(settings.due_partitions)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.brokers, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    late: list[float] = []
    packs = 0
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(p) < end for p, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in records:
                    mine = [m for m in read_due(record.value) if isinstance(m, DueMessage) and m.key in due_ms]
                    late.extend(m.emitted_at.timestamp() * 1000 - due_ms[m.key] for m in mine)
                    packs += bool(mine)
    finally:
        await consumer.stop()
    late.sort()
    if not late:
        return {}
    return {
        "emitted_p50_ms": percentile(late, 0.5),
        "emitted_p99_ms": percentile(late, 0.99),
        "messages_per_pack": len(late) / packs,
    }
