"""An owner of every partition in one coroutine: the real decisions over a dict, for tests of what asks owners."""

import asyncio
from collections.abc import Iterable
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.commands import Answer, Command
from schemas.decide import decide
from schemas.decisions import Asked, Decision, Mark, Policy, Seen
from schemas.rows import Row
from schemas.wire import encode, packs, read_commands
from topology.clock import SystemClock
from topology.settings import Settings
from topology.topic_admin import create_topics
from topology.topics import TopicNames, topic_specs

POLICY = Policy(delays_ms={"webhook": (5_000,), "log": ()})


async def make_topics(settings: Settings, channels: Iterable[str] = ()) -> None:
    """The topics of the settings' prefix."""
    specs = topic_specs(
        TopicNames(settings.prefix), channels, partitions=settings.partitions, due_partitions=2, replication=1
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await admin.start()
    try:
        await create_topics(admin, specs, replication=1)
    finally:
        await admin.close()


class StandInOwner:
    """Decides what it reads, keeps rows in memory, answers. `seen`: command, partition, headers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.names = TopicNames(settings.prefix)
        self.rows: dict[str, Row] = {}
        self.marks: dict[str, tuple[Mark, ...]] = {}
        self.seen: list[tuple[Command, int, dict[str, bytes]]] = []
        self.records = 0
        self.silent = False

    async def __aenter__(self) -> Self:
        self.consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.brokers, auto_offset_reset="earliest")
        self.producer = AIOKafkaProducer(bootstrap_servers=self.settings.brokers)
        await self.consumer.start()
        await self.producer.start()
        self.consumer.assign([TopicPartition(self.names.commands, p) for p in range(self.settings.partitions)])
        self.task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        if not self.task.cancelled() and self.task.exception() is not None:
            raise self.task.exception()  # type: ignore[misc]
        await self.consumer.stop()
        await self.producer.stop()

    async def _run(self) -> None:
        while True:
            answers: dict[int, list[Answer]] = {}
            for records in (await self.consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    self.records += 1
                    for command in read_commands(record.value):
                        self.seen.append((command, record.partition, dict(record.headers)))
                        answer = self._decide(command, record.offset)
                        if command.reply_to is not None and answer is not None and not self.silent:
                            answers.setdefault(command.reply_to, []).append(answer)
            for partition, some in answers.items():
                for pack in packs(map(encode, some)):
                    await self.producer.send(self.names.answers, pack, partition=partition)

    def _decide(self, command: Command, offset: int) -> Answer | None:
        now_ms = SystemClock().now_ms()
        found = decide(
            Seen(row=self.rows.get(command.id), marks=self.marks.get(command.id, ())),
            Asked(command, offset, now_ms),
            now_ms,
            POLICY,
        )
        assert isinstance(found, Decision)
        if found.row is not None:
            self.rows[command.id] = found.row
        return found.answer
