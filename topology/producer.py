"""This process's connections to Kafka: producers, readers of ends, identities."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, KafkaTimeoutError

from agents.ports import LogBrokenError
from topology.kafka_log import KafkaLog
from topology.topic_ids import ClusterIdentity, cluster_identity
from topology.topics import MIB, RECORD_BYTES_MAX

BATCH_BYTES_MAX = MIB
REQUEST_TIMEOUT_MS = 40_000
CLOSE_WITHIN_S = 5
GIVE_UP_S = 60
RETRY_S = 0.2
T = TypeVar("T")

logger = logging.getLogger(__name__)


class Lane:
    """One idempotent producer, replaced after any failure: a wedged one never recovers (aiokafka issue 1017).

    aiokafka has one request under way per broker and producer: what must not wait behind bulk writes has its own lane.
    """

    def __init__(self, make: Callable[[], AIOKafkaProducer]) -> None:
        self._make = make
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def producer(self) -> AIOKafkaProducer:
        """The one that works, started. Raises KafkaError when no broker answers."""
        if self._producer is None:
            async with self._starting:
                if self._producer is None:
                    fresh = self._make()
                    try:
                        await fresh.start()
                    except BaseException:
                        await _closed(fresh)
                        raise
                    self._producer = fresh
        return self._producer

    def drop(self, producer: AIOKafkaProducer) -> None:
        """The next write gets another; this one ends what it has under way, for 5 s at most."""
        if producer is self._producer:
            self._producer = None
            task = asyncio.create_task(_closed(producer))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """Write what is under way, within 5 s, and close."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _closed(producer)
        await asyncio.gather(*self._closing)


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """An answer that changes nothing, asked for again while brokers are away. Raises LogBrokenError after 60 s.

    That a look at a log's end fails is no reason to let its partition go.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + GIVE_UP_S
    while True:
        try:
            return await ask()
        except KafkaError as error:
            if not (error.retriable or isinstance(error, KafkaTimeoutError)) or loop.time() > until:
                raise LogBrokenError(f"no broker has answered for {GIVE_UP_S} s: {error!r}") from error
        await asyncio.sleep(RETRY_S)


async def _closed(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(CLOSE_WITHIN_S):
            await producer.stop()
    except (KafkaError, TimeoutError) as error:
        logger.warning("a producer did not close cleanly: %s", error or "not within 5 s")
        await producer.client.close()


class Kafka:
    """Logs of this process, over shared producers. `start` before use, `stop` after."""

    def __init__(
        self,
        brokers: str,
        *,
        client_id: str = "clepsydra",
        request_timeout_ms: int = REQUEST_TIMEOUT_MS,
        security: Mapping[str, Any] | None = None,
    ) -> None:
        """`security`: what settings.kafka_security() gives."""
        self.arguments: dict[str, Any] = {"bootstrap_servers": brokers, "client_id": client_id, **(security or {})}
        self._request_timeout_ms = request_timeout_ms
        self._lanes: dict[str, Lane] = {}
        self._logs: dict[tuple[str, int], KafkaLog] = {}
        self.admin = AIOKafkaAdminClient(**self.arguments)
        self._ends = AIOKafkaConsumer(**self.arguments, request_timeout_ms=request_timeout_ms)
        self.reader = AIOKafkaClient(**self.arguments, request_timeout_ms=request_timeout_ms)

    async def start(self) -> None:
        """Connect. Raises KafkaError when no broker answers."""
        await self.admin.start()
        await self._ends.start()
        await self.reader.bootstrap()

    async def stop(self) -> None:
        """Write what is under way, within 5 s, and close."""
        await asyncio.gather(*(lane.stop() for lane in self._lanes.values()))
        await self.reader.close()
        await self._ends.stop()
        await self.admin.close()

    def log(self, topic: str, partition: int, lane: str = "main") -> KafkaLog:
        """The one log of a partition in this process; its lane is that of the first call."""
        log = self._logs.get((topic, partition))
        if log is None:
            producers = self._lanes.setdefault(lane, Lane(self._make_producer))
            log = self._logs[topic, partition] = KafkaLog(self, producers, TopicPartition(topic, partition))
        return log

    async def identity(self) -> ClusterIdentity:
        """The cluster's id, and id and size of each topic. Raises KafkaError."""
        return await cluster_identity(self.admin._client)  # noqa: SLF001  the admin client has no public one

    async def start_of(self, partition: TopicPartition) -> int:
        """The offset of the oldest record that is kept."""
        return int((await patiently(lambda: self._ends.beginning_offsets([partition])))[partition])

    async def end_of(self, partition: TopicPartition) -> int:
        """The offset that the next record will get."""
        return int((await patiently(lambda: self._ends.end_offsets([partition])))[partition])

    def _make_producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self.arguments,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=RECORD_BYTES_MAX,
            request_timeout_ms=self._request_timeout_ms,
        )
