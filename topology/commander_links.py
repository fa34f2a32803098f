"""The commander's two connections: a producer that is renewed when it fails, a consumer of one answers partition."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.commands import Answer
from schemas.wire import NewerRecordError, UnreadableError, packs, read_answers
from topology.clients import client_arguments
from topology.commander_errors import CommanderStartError
from topology.settings import Settings
from topology.topics import RECORD_BYTES_MAX, TopicNames

REQUEST_TIMEOUT_MS = 8_000
WRITE_TIMEOUT_S = 9.0
PAUSE_S = 0.5
ROUTED_HEADER = "clepsydra-routed"
"""On packs that are in the right partition of so many: their owner need not hash each id again."""

log = structlog.get_logger(__name__)


class CommandWriter:
    """Writes packs into partitions of one topic. A producer that failed is never used again (aiokafka 1017)."""

    def __init__(self, settings: Settings) -> None:
        self._brokers = settings.brokers
        self._client = client_arguments(settings)
        self._topic = TopicNames(settings.prefix).commands
        self._headers = [(ROUTED_HEADER, str(settings.partitions).encode())]
        self._producer: AIOKafkaProducer | None = None
        self._connected = asyncio.Event()
        self._renewal: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a producer that has not failed."""
        return self._connected.is_set()

    async def start(self) -> None:
        """Connects. Raises CommanderStartError."""
        try:
            await self._connect()
        except KafkaError as fault:
            raise CommanderStartError.unreachable(self._brokers, fault) from fault

    async def stop(self) -> None:
        """Disconnects."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
        if self._producer is not None:
            await _stopped(self._producer)
        self._connected.clear()

    async def write(self, partition: int, elements: Sequence[bytes]) -> None:
        """Returns when all are acknowledged; any exception, within 9 s: they may or may not be there."""
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await self._connected.wait()
            producer = self._producer
            try:
                await self._send(producer, partition, elements)
            except BaseException as fault:
                self._drop(producer, fault)
                raise

    async def _send(self, producer: AIOKafkaProducer, partition: int, elements: Sequence[bytes]) -> None:
        batch = producer.create_batch()
        for pack in packs(elements):
            if batch.append(key=None, value=pack, timestamp=None, headers=self._headers) is None:
                raise ValueError(f"a batch of {sum(map(len, elements))} bytes is larger than Kafka takes")
        batch.close()
        await (await producer.send_batch(batch, self._topic, partition=partition))

    def _drop(self, producer: AIOKafkaProducer, fault: BaseException) -> None:
        if producer is self._producer:
            log.warning("commander.producer_failed", fault=repr(fault))
            self._producer = None
            self._connected.clear()
            self._renewal = asyncio.create_task(self._renew(producer), name="commander producer renewal")

    async def _renew(self, failed: AIOKafkaProducer) -> None:
        while not self.connected:
            try:
                await self._connect()
            except KafkaError as fault:
                log.warning("commander.kafka_unreachable", brokers=self._brokers, fault=repr(fault))
                await asyncio.sleep(PAUSE_S)
        await _stopped(failed)

    async def _connect(self) -> None:
        producer = AIOKafkaProducer(
            **self._client,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=RECORD_BYTES_MAX,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            await producer.start()
        except BaseException:
            await _stopped(producer)
            raise
        self._producer = producer
        self._connected.set()


class AnswerListener:
    """Reads one partition of `answers` from its end and tells each answer; what it cannot read, it passes over."""

    def __init__(self, settings: Settings, partition: int, tell: Callable[[Answer], None]) -> None:
        self._settings = settings
        self._names = TopicNames(settings.prefix)
        self._partition = TopicPartition(self._names.answers, partition)
        self._tell = tell
        self._consumer: AIOKafkaConsumer | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def listening(self) -> bool:
        """Whether answers are read."""
        return self._reader is not None and not self._reader.done()

    async def start(self) -> None:
        """From its return on no answer is missed. Raises CommanderStartError."""
        consumer = AIOKafkaConsumer(
            **client_arguments(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # reached only if Kafka forgets our place: rather old answers than none
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            await self._check_topics()
            await consumer.start()
            consumer.assign([self._partition])
            ends = await consumer.end_offsets([self._partition])
            consumer.seek(self._partition, ends[self._partition])
        except KafkaError as fault:
            await _stopped(consumer)
            raise CommanderStartError.unreachable(self._settings.brokers, fault) from fault
        except BaseException:
            await _stopped(consumer)
            raise
        self._consumer = consumer
        self._reader = asyncio.create_task(self._read(consumer), name="commander answers")

    async def stop(self) -> None:
        """Stops reading."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        if self._consumer is not None:
            await _stopped(self._consumer)

    async def _check_topics(self) -> None:
        admin = AIOKafkaAdminClient(**client_arguments(self._settings), request_timeout_ms=REQUEST_TIMEOUT_MS)
        try:
            await admin.start()
            wanted = {self._names.commands: self._settings.partitions, self._names.answers: self._settings.partitions}
            for topic in await admin.describe_topics([*wanted, self._names.settings]):
                name, found = topic["topic"], len(topic["partitions"])
                if found != wanted.get(name, 1):
                    raise CommanderStartError.topic(name, found, wanted.get(name, 1))
        finally:
            await admin.close()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                for records in (await consumer.getmany(timeout_ms=1_000)).values():
                    for record in records:
                        self._open(record.value)
            except KafkaError as fault:
                log.warning("commander.answers_unreadable", fault=repr(fault))
                await asyncio.sleep(PAUSE_S)

    def _open(self, value: bytes | None) -> None:
        try:
            for answer in read_answers(value or b"[]"):
                self._tell(answer)
        except (UnreadableError, NewerRecordError) as fault:
            log.warning("commander.answer_unreadable", fault=str(fault))


async def _stopped(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """Stops it, whatever state it is in: its `stop` can raise CancelledError soon after `assign`."""
    with suppress(KafkaError, asyncio.CancelledError, TimeoutError):
        await asyncio.wait_for(client.stop(), REQUEST_TIMEOUT_MS / 1000)
