"""A whole system of one prefix: topics in a real Kafka, scheduler and courier as real processes, a receiver, a commander."""

import asyncio
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from msgspec import Raw
from system_process import Worker, worker_command
from system_receiver import Receiver

from schemas.commands import Answer, Cancel, Command, Create, Edit, Look
from schemas.message import Changes, Message
from schemas.times import at
from topology.clients import client_arguments
from topology.commander import Commander
from topology.partitions import partition_of
from topology.settings import Settings, load_settings
from topology.topic_admin import create_topics
from topology.topics import TopicNames
from topology.world import all_topics

SESSION_S = 3
T = TypeVar("T")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def until(found: Callable[[], T | Awaitable[T]], within_s: float = 30, tell: Callable[[], object] = str) -> T:
    """What is found, once it is true; AssertionError with what `tell` says when it is not in time."""
    deadline = time.monotonic() + within_s
    while True:
        value: Any = found()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value  # type: ignore[no-any-return]
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {tell()}")
        await asyncio.sleep(0.02)


def say(text: str) -> None:
    """A figure for people, shown with `pytest -s`."""
    sys.stderr.write(f"\n{text}\n")


def new_id(name: str = "c") -> str:
    return f"{name}-{uuid.uuid4()}"


class System:
    """Enter it: topics are made and both workers started (`start=False`: none). Leave it: all that is left is killed."""

    def __init__(
        self, brokers: str, directory: Path, *, start: bool = True, receiver: Receiver | None = None, **settings: Any
    ) -> None:
        given = {
            "brokers": brokers,
            "prefix": f"s{uuid.uuid4().hex[:8]}.",
            "data": directory / "state",
            "session_timeout": SESSION_S,
            "webhook_allow_private": True,
            "partitions": 2,
        } | settings
        self.environment = {f"CLEPSYDRA_{name.upper()}": str(value) for name, value in given.items()}
        self.settings: Settings = load_settings(**given)
        self.names = TopicNames(self.settings.prefix)
        self.logs = directory / "logs"
        self.scheduler = self.worker("scheduler")
        self.courier = self.worker("courier")
        self.archivist = self.worker("archivist")
        self.receiver = receiver or Receiver()
        self.commander = Commander(self.settings)
        self._start = start
        self.topics_there = False
        self._stack = AsyncExitStack()

    def worker(
        self, role: str, name: str | None = None, command: list[str] | None = None, **environment: str
    ) -> Worker:
        """A worker of this system, not started."""
        return Worker(command or worker_command(role), self.environment | environment, self.logs, name or role)

    async def __aenter__(self) -> Self:
        try:
            await self._stack.enter_async_context(self.receiver)
            if not self.topics_there:
                await self.make_topics(self.settings)
            for worker in (self.scheduler, self.courier, self.archivist):
                self._stack.callback(worker.close)
                if self._start and (worker is not self.archivist or self.settings.postgres is not None):
                    worker.start()
            await self.commander.start()
            self._stack.push_async_callback(self.commander.stop)
            if self._start:
                await self.owned()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def keep(self, worker: Worker) -> Worker:
        """Started, and killed at the end if it still runs."""
        self._stack.callback(worker.close)
        worker.start()
        return worker

    async def make_topics(self, settings: Settings) -> None:
        admin = AIOKafkaAdminClient(**client_arguments(settings))
        await admin.start()
        try:
            await create_topics(admin, all_topics(settings), replication=settings.replication)
        finally:
            await admin.close()

    async def owned(self, scheduler: Worker | None = None, within_s: float = 30) -> None:
        """Returns when a scheduler has said of every partition that it is owned."""
        worker = scheduler or self.scheduler

        def all_owned() -> bool:
            assert worker.running, f"the scheduler ended:\n{worker.text()[-3000:]}"
            return {line["partition"] for line in worker.told("partition_owned")} == set(
                range(self.settings.partitions)
            )

        await until(all_owned, within_s, lambda: worker.text()[-3000:])

    # ---- messages and commands

    def message(self, message_id: str, in_s: float = 0, *, due_ms: int | None = None, **fields: Any) -> Message:
        """Due so much later, to the receiver, its due time in its body."""
        due = now_ms() + int(in_s * 1000) if due_ms is None else due_ms
        given = {"channel": "webhook", "to": self.receiver.url, "body": {"due_ms": due, "text": "first"}} | fields
        if "targets" in given:
            given = {name: value for name, value in given.items() if name not in ("channel", "to")}
        return msgspec.convert(given | {"id": message_id, "due_at": at(due), "body": raw(given["body"])}, Message)

    async def ask(self, command: Command) -> Answer:
        return await self.commander.ask(command)

    async def create(self, message: Message, **fields: Any) -> Answer:
        return await self.ask(Create(command_id=new_id(), message=message, **fields))

    async def edit(self, message_id: str, if_revision: int | None = None, **changes: Any) -> Answer:
        if "body" in changes:
            changes["body"] = raw(changes["body"])
        edit = Edit(command_id=new_id(), id=message_id, changes=Changes(**changes), if_revision=if_revision)
        return await self.ask(edit)

    async def cancel(self, message_id: str) -> Answer:
        return await self.ask(Cancel(command_id=new_id(), id=message_id))

    async def look(self, message_id: str) -> Answer:
        return await self.ask(Look(command_id=new_id("look"), id=message_id))

    async def insist(self, commands: Iterable[Command], within_s: float = 90) -> dict[str, Answer]:
        """The answers by message id, asked again with the same command id until there is one, as a client should."""
        waiting = {command.command_id: command for command in commands}
        answers: dict[str, Answer] = {}
        deadline = time.monotonic() + within_s
        while waiting:
            for answer in await self.commander.ask_many(list(waiting.values())):
                if isinstance(answer, Answer):
                    answers[answer.id] = answer
                    del waiting[answer.command_id]
            assert time.monotonic() < deadline, f"{len(waiting)} commands unanswered:\n{self.scheduler.text()[-3000:]}"
        return answers

    async def states(self, ids: Iterable[str]) -> dict[str, str]:
        """As their owners know them."""
        found = await self.insist(Look(command_id=new_id("look"), id=message_id) for message_id in ids)
        return {message_id: str(answer.state) for message_id, answer in found.items()}

    async def all_in(self, state: str, ids: Iterable[str], within_s: float = 30) -> None:
        """Returns when every message is in this state."""
        waiting = set(ids)
        seen: dict[str, str] = {}

        async def look() -> bool:
            nonlocal waiting
            seen.update(await self.states(waiting))
            waiting = {message_id for message_id in waiting if seen[message_id] != state}
            return not waiting

        await until(look, within_s, lambda: {i: seen[i] for i in sorted(waiting)[:20]})

    async def received(self, ids: Iterable[str], within_s: float = 60) -> None:
        """Returns when the first target of each has taken it."""
        wanted = {f"{message_id}/0" for message_id in ids}

        def told() -> str:
            missing = sorted(wanted - self.receiver.keys().keys())
            return f"{len(missing)} of {len(wanted)} missing: {missing[:10]}; logs in {self.logs}"

        await until(lambda: wanted <= self.receiver.keys().keys(), within_s, told)

    # ---- Kafka, as any client sees it

    def partition(self, message_id: str) -> int:
        return partition_of(message_id, self.settings.partitions)

    async def produce(
        self, topic: str, value: bytes | None, *, partition: int | None = None, key: bytes | None = None
    ) -> Any:
        """One record by a plain producer; its metadata."""
        async with AIOKafkaProducer(**client_arguments(self.settings)) as producer:
            return await producer.send_and_wait(
                topic, value, partition=partition, key=key or (b"no value" if value is None else None)
            )

    async def read(self, topic: str) -> list[ConsumerRecord[Any, Any]]:
        """All records of a topic up to its present end, by a plain consumer."""
        found: list[ConsumerRecord[Any, Any]] = []
        async with AIOKafkaConsumer(**client_arguments(self.settings), auto_offset_reset="earliest") as consumer:
            await consumer._client.force_metadata_update()
            places = [TopicPartition(topic, n) for n in sorted(await self._partitions(consumer, topic))]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            while any([await consumer.position(place) < end for place, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
        return found

    async def _partitions(self, consumer: Any, topic: str) -> set[int]:
        return await until(lambda: consumer.partitions_for_topic(topic) or _added(consumer, topic))

    def groups(self) -> dict[str, list[str]]:
        """The topics that each consumer group reads."""
        prefix, names = self.settings.prefix, self.names
        return {f"{prefix}scheduler": [names.commands, names.acks], f"{prefix}courier": [names.due("webhook")]}

    async def no_lag(self) -> bool:
        """Whether the groups have committed all that there is, as tools see it."""
        for group, topics in self.groups().items():
            places = [TopicPartition(topic, n) for topic in topics for n in range(self.settings.partitions)]
            reader = AIOKafkaConsumer(**client_arguments(self.settings), group_id=group, enable_auto_commit=False)
            async with reader:
                reader.assign(places)
                ends = await reader.end_offsets(places)
                if any([(await reader.committed(place) or 0) < end for place, end in ends.items()]):
                    return False
        return True

    async def letters(self, about: Callable[[dict[str, Any]], bool], count: int = 1) -> list[dict[str, Any]]:
        """Dead letters of this kind, once there are so many."""

        async def found() -> list[dict[str, Any]] | None:
            letters = [msgspec.json.decode(record.value) for record in await self.read(self.names.dead_letters)]
            mine = [letter for letter in letters if about(letter)]
            return mine if len(mine) >= count else None

        return await until(found, 20) or []


async def _added(consumer: Any, topic: str) -> None:
    await consumer._client.add_topic(topic)


def raw(body: Any) -> Raw:
    return body if isinstance(body, Raw) else Raw(msgspec.json.encode(body))


def spread(start_ms: int, per_second: int, count: int) -> Iterator[int]:
    """Due times, evenly."""
    return (start_ms + n * 1000 // per_second for n in range(count))
