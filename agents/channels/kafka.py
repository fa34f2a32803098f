"""The channel `kafka`: a record in a topic of the user's own, on the cluster that Clepsydra runs on."""

import asyncio
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from agents.channels.kafka_topics import TopicRefusedError, check_topic
from agents.channels.settings import ChannelFactory, ChannelSettings
from agents.ports import Clock
from schemas.due import DueMessage
from schemas.message import body_bytes
from schemas.outcomes import Delivered, Outcome, Rejected, Response, RetryLater

BATCH_BYTES = 64 * 1024
REQUEST_TIMEOUT_MS = 8_000  # of one request; a frozen leader is given up after it
LOOK_UP_SHARE = 1 / 3  # of the time limit, to find the topic; what runs out later was perhaps sent
KEY_HEADER = "clepsydra-key"
ID_HEADER = "clepsydra-id"
CONTENT_TYPE_HEADER = "content-type"


class KafkaChannel:
    """Idempotent, acknowledged by all replicas in sync. A consumer finds the delivery key in the key and a header.

    After a failed write the producer is replaced: aiokafka's may fail for good in that partition (aiokafka 1017).
    """

    name = "kafka"
    honours_key = True
    concurrency = 512

    def __init__(self, settings: ChannelSettings, clock: Clock) -> None:  # noqa: ARG002  every factory is called so
        self.delays_ms = settings.delays_ms
        self.timeout_ms = settings.kafka_timeout_ms
        self._client = {"bootstrap_servers": settings.brokers, **settings.kafka_security}
        self._prefix = settings.prefix
        self._allowed = settings.kafka_topics
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()
        self._started = False
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect, if there is a topic to send to. Without an answer in time it goes on: each send tries again."""
        self._started = True
        if self._allowed:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(self._look_up_s):
                    await self._open()

    async def send(self, message: DueMessage) -> Outcome:
        """One record, once all replicas in sync have it."""
        try:
            check_topic(message.to, self._allowed, self._prefix)
            value = body_bytes(message.body, message.body_base64)
            return await self._write(message, value) if self._started else RetryLater(reason="kafka is not started")
        except (TopicRefusedError, ValueError) as fault:
            return Rejected(reason=str(fault)[:300])
        except Exception as fault:  # noqa: BLE001  failures are outcomes, not exceptions
            return RetryLater(reason=f"unexpected {type(fault).__name__}: {fault}"[:300], maybe_sent=True)

    async def stop(self) -> None:
        """Let go of the connections, after at most the time limit."""
        self._started = False
        if self._producer is not None:
            self._replace(self._producer)
        if self._leaving:
            await asyncio.wait(self._leaving)

    @property
    def _look_up_s(self) -> float:
        return self.timeout_ms / 1_000 * LOOK_UP_SHARE

    async def _write(self, message: DueMessage, value: bytes) -> Outcome:
        try:
            async with asyncio.timeout(self._look_up_s):
                producer = self._producer or await self._open()
                written = await producer.send(message.to, value, message.key.encode(), headers=_headers(message))
        except (KafkaError, OSError, TimeoutError) as fault:
            return _not_sent(fault, message.to)
        done, _ = await asyncio.wait({written}, timeout=self.timeout_ms / 1_000 * (1 - LOOK_UP_SHARE))
        if not done:
            written.add_done_callback(_forget)
            self._replace(producer)
            return RetryLater(reason="no answer from the brokers within the time limit", maybe_sent=True)
        failed = written.exception()
        if failed is not None:
            self._replace(producer)
            return _failed(failed, len(value))
        landed = written.result()
        return Delivered(response=Response(body=f"{landed.topic}/{landed.partition}/{landed.offset}"))

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._client,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=0,
                    max_batch_size=BATCH_BYTES,
                    request_timeout_ms=min(REQUEST_TIMEOUT_MS, self.timeout_ms),
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    def _replace(self, producer: AIOKafkaProducer) -> None:
        """The next send makes a new one; the old one finishes what it still can."""
        if self._producer is producer:
            self._producer = None
            leaving = asyncio.create_task(_leave(producer, self.timeout_ms / 1_000))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)


async def _leave(producer: AIOKafkaProducer, timeout_s: float) -> None:
    with suppress(KafkaError, OSError, TimeoutError):
        await asyncio.wait_for(producer.stop(), timeout_s)


def _forget(written: asyncio.Future[object]) -> None:
    if not written.cancelled():
        written.exception()


def _headers(message: DueMessage) -> list[tuple[str, bytes]]:
    ours = {KEY_HEADER: message.key.encode(), ID_HEADER: message.id.encode()}
    if message.content_type is not None:
        ours[CONTENT_TYPE_HEADER] = message.content_type.encode()
    kept = [(name, value.encode()) for name, value in message.headers.items() if name.lower() not in ours]
    return [*kept, *ours.items()]


def _not_sent(fault: Exception, topic: str) -> Outcome:
    """Before the record was taken into a batch: surely not sent."""
    match fault:
        case MessageSizeTooLargeError() | InvalidTopicError():
            return Rejected(reason=str(fault)[:300])
        case UnknownTopicOrPartitionError():
            return RetryLater(reason=f"the topic {topic} does not exist: create it, or take the message back")
        case TopicAuthorizationFailedError():
            return RetryLater(
                reason=f"writing to {topic} is not allowed to Clepsydra: let it, or take the message back"
            )
        case TimeoutError():
            return RetryLater(reason=f"the brokers did not tell where {topic} is within the time limit: does it exist?")
        case _:
            return RetryLater(reason=f"no connection to the brokers: {fault}"[:300])


def _failed(fault: BaseException, size: int) -> Outcome:
    """After it. A refusal by size is for the whole batch, and only a record too large to share one is alone in it."""
    match fault:
        case MessageSizeTooLargeError() if size > BATCH_BYTES:
            return Rejected(reason=f"{size} bytes are more than the topic takes (max.message.bytes)")
        case MessageSizeTooLargeError() | InvalidTopicError() | TopicAuthorizationFailedError():
            return RetryLater(reason=f"refused by the broker: {fault}"[:300])
        case _:
            reason = f"the write failed: {type(fault).__name__} {fault}"
            return RetryLater(reason=reason[:300], maybe_sent=True)


CHANNEL = ChannelFactory("kafka", KafkaChannel, settings=("brokers", "kafka_topics"))
