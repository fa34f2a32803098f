"""What every worker needs of Kafka before it starts: connections, fit topics, identities of the logs."""

from datetime import timedelta

from topology.channel_settings import usable_channels
from topology.producer import Kafka
from topology.settings import Settings
from topology.topic_admin import TopicsError, check_topics
from topology.topic_ids import ClusterIdentity
from topology.topics import TopicNames, TopicSpec, topic_specs

MS = timedelta(milliseconds=1)


def all_topics(settings: Settings) -> tuple[TopicSpec, ...]:
    """Every topic of these settings."""
    return topic_specs(
        TopicNames(settings.prefix),
        usable_channels(settings),
        partitions=settings.partitions,
        due_partitions=settings.due_partitions,
        replication=settings.replication,
    )


async def connect(settings: Settings, client_id: str) -> tuple[Kafka, ClusterIdentity]:
    """Connected to a Kafka whose topics are fit. Raises KafkaError, TopicsError."""
    timeout_ms = settings.request_timeout // MS
    kafka = Kafka(
        settings.brokers,
        client_id=client_id,
        security=settings.kafka_security(),
        request_timeout_ms=timeout_ms,
    )
    await kafka.start()
    findings = await check_topics(kafka.admin, all_topics(settings), replication=settings.replication)
    fatal = [str(f) for f in findings if f.fatal]
    if fatal:
        await kafka.stop()
        raise TopicsError("the topics are not fit to run on:\n  " + "\n  ".join(fatal))
    return kafka, await kafka.identity()
