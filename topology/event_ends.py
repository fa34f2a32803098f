"""The ends of `events`: up to there the archive must have come to know all that was answered before."""

from aiokafka import TopicPartition

from topology.producer import Kafka


async def event_ends(kafka: Kafka, topic: str, partitions: int) -> dict[int, int]:
    """The offset that the next event will get, by partition. Raises KafkaError."""
    return {number: await kafka.end_of(TopicPartition(topic, number)) for number in range(partitions)}
