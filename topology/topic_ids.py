"""Ids of the cluster and of its topics: a topic made anew under an old name has another id (KIP-516).

aiokafka 0.14 speaks Metadata up to version 5; topic ids came with version 10 (Kafka 2.8).
"""

from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)


class Uuid(AbstractType[UUID]):
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class MetadataRequestV10(RequestStruct):
    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("cluster_operations", Boolean),
        ("topic_operations", Boolean),
        ("tags", TaggedFields),
    )


class AllTopics(Request[MetadataRequestV10]):
    """Asks for every topic and makes none."""

    API_KEY = 3

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(None, False, False, False, {})  # noqa: FBT003  positional by nature


class TopicIdentity(NamedTuple):
    """A topic as the brokers know it."""

    id: str
    partitions: int
    replication: int


class ClusterIdentity(NamedTuple):
    """The cluster's id and its topics by name."""

    id: str
    topics: dict[str, TopicIdentity]


async def cluster_identity(client: AIOKafkaClient) -> ClusterIdentity:
    """What any broker knows of the cluster; topics that have leaders. Raises KafkaError."""
    response = await client.send(client.get_random_node(), AllTopics())
    found = {}
    for error, name, topic_id, _internal, partitions, *_ in response.topics:
        if error == 0 and all(leader >= 0 for _, _, leader, *_ in partitions):
            replication = min(len(replicas) for _, _, _, _, replicas, *_ in partitions)
            found[name] = TopicIdentity(str(topic_id), len(partitions), replication)
    return ClusterIdentity(response.cluster_id, found)
