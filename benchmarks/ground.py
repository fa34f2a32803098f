"""Where workloads run: one embedded Kafka for all, and for each its own topics and workers."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

from benchmarks.figures import Arrival, Figures
from benchmarks.groups import stable
from benchmarks.load import creates, keys_due
from benchmarks.meter import Meter
from benchmarks.outcomes import Outcomes
from benchmarks.processes import Child, clean_environment, profiler, worker_command
from schemas.commands import Answer, Command, Create
from topology.commander import Commander
from topology.embedded_kafka import EmbeddedKafka
from topology.producer import Kafka
from topology.settings import Settings, load_settings
from topology.topic_admin import create_topics
from topology.world import all_topics

WARM_UP = 1_000
READY_WITHIN_S = 60
DRAINED_WITHIN_S = 60
LOOK_S = 0.1
SLICE = 20_000
FIRST_RATE = 5_000.0
LEAD_S = 3.0
QUIET_CPU = 0.12
QUIET_LOOK_S = 0.5

Tell = Callable[[str], None]


def now_ms() -> int:
    """Unix time in milliseconds."""
    return int(time.time() * 1000)


class RefusedError(Exception):
    """An owner did not accept what it should."""


class Cluster:
    """Topics of their own, a scheduler, couriers, and the load generator's connection to them."""

    def __init__(self, ground: "Ground", name: str, settings: Settings, env: dict[str, str]) -> None:
        self.ground, self.name, self.settings, self.env = ground, name, settings, env
        self.directory = settings.data
        self.workers: dict[str, Child] = {}
        self.commander = Commander(settings)
        self.outcomes = Outcomes(settings, "log")

    def start_worker(self, name: str, role: str) -> Child:
        """A worker process."""
        child = Child(name, worker_command(role), self.directory / f"{name.replace(' ', '-')}.log", self.env)
        self.workers[name] = child
        return child

    def meter(self) -> Meter:
        """Of all that takes part now."""
        workers = {name: child.pid for name, child in self.workers.items()}
        return Meter(workers | {"kafka": self.ground.kafka.pid, "load": os.getpid()})

    async def group_is_stable(self, **members: int) -> None:
        """Until the groups of these roles have so many members each, and rest."""
        members = {f"{self.settings.prefix}{role}": count for role, count in members.items()}
        async with asyncio.timeout(READY_WITHIN_S):
            while not await stable(self.ground.admin.reader, members):
                for child in self.workers.values():
                    child.check()
                await asyncio.sleep(LOOK_S)

    async def warm_up(self) -> None:
        """Messages that are due at once have gone through all of it."""
        due = [now_ms() + 300] * WARM_UP
        await self.accept(list(creates("warm", due)))
        await self.arrived(keys_due("warm", due))
        await self.quiet()

    async def accept(self, commands: Sequence[Create], what: str = "accepting") -> float:
        """Seconds until every owner has answered that it has them. Raises RefusedError."""
        began = time.perf_counter()
        for start in range(0, len(commands), SLICE):
            answers = await self.commander.ask_many(commands[start : start + SLICE])
            for answer in answers:
                if not isinstance(answer, Answer) or answer.result != "accepted":
                    raise RefusedError(f"{answer}")
            self.ground.step(what, start + len(answers), len(commands))
        return time.perf_counter() - began

    async def arrived(self, due: dict[str, int]) -> list[Arrival]:
        """What was in couriers' hands by the time that all were, or a minute after the last was due."""
        limit = max(due.values()) / 1000 + DRAINED_WITHIN_S
        base = await self.outcomes.count()
        waiting = set(due)
        while waiting and time.time() < limit:
            for child in self.workers.values():
                child.check()
            written = await self.outcomes.count() - base
            self.ground.step("delivering", min(written, len(due)), len(due))
            if written >= len(due) or time.time() > max(due.values()) / 1000 + 5:
                waiting -= {a.key for a in await self.outcomes.read()}
            if waiting:
                await asyncio.sleep(LOOK_S)
        return await self.outcomes.read()

    async def quiet(self, within_s: float = 30) -> float:
        """Until the workers rest: everything is acked and settled. Seconds."""
        began = time.perf_counter()
        meter = Meter({name: child.pid for name, child in self.workers.items()})
        while time.perf_counter() - began < within_s:
            await asyncio.sleep(QUIET_LOOK_S)
            if max(meter.lap().values()) < QUIET_CPU * QUIET_LOOK_S:
                break
        return time.perf_counter() - began

    async def ask(self, commands: Sequence[Command]) -> list[Answer | Exception]:
        """Answers, or what stands in their place."""
        return list(await self.commander.ask_many(commands))

    def finish(self, found: Figures, meter: Meter) -> Figures:
        """With CPU and memory."""
        found.cpu_s, found.rss_mb = meter.cpu_s(), meter.rss_mb()
        return found


class Ground:
    """One embedded Kafka and a directory for all that is written."""

    def __init__(self, directory: Path, step: Callable[[str, int, int], None], profiles: Path | None = None) -> None:
        self.directory, self.step, self.profiles = directory, step, profiles
        self.kafka = EmbeddedKafka(directory / "kafka")
        self.accept_rate = FIRST_RATE
        self.remarks: list[str] = []
        self._numbers = count(1)

    async def start(self) -> None:
        """Start Kafka and connect to it."""
        self.brokers = await self.kafka.start()
        self.admin = Kafka(self.brokers, client_id="benchmarks")
        await self.admin.start()

    async def stop(self) -> None:
        """Stop Kafka."""
        if hasattr(self, "admin"):
            await self.admin.stop()
        await self.kafka.stop()

    def lead_ms(self, messages: int) -> int:
        """So far ahead are messages due that all are accepted before the first is."""
        return int(1000 * (LEAD_S + messages / self.accept_rate))

    def learn(self, messages: int, seconds: float) -> None:
        """How fast acceptance is on this machine, with a margin."""
        if messages >= 5_000:
            self.accept_rate = 0.6 * messages / seconds

    @asynccontextmanager
    async def cluster(self, name: str, couriers: int = 1, *, schedulers: int = 1, **env: str) -> AsyncIterator[Cluster]:
        """A cluster on a fresh prefix, warm and at rest; stopped and its topics deleted at the end."""
        prefix = f"bench{next(self._numbers)}."
        data = self.directory / prefix.rstrip(".")
        data.mkdir()
        settings = load_settings(brokers=self.brokers, prefix=prefix, data=data)
        ours = {"brokers": self.brokers, "prefix": prefix, "data": str(data), "log_level": "warning"}
        cluster = Cluster(self, name, settings, clean_environment(**(ours | env)))
        profilers: list[Child] = []
        self.step(f"{name}: starting", 0, 1)
        made = await create_topics(self.admin.admin, all_topics(settings), replication=1)
        try:
            for role, count in (("scheduler", schedulers), ("courier", couriers)):
                for number in range(count):
                    cluster.start_worker(f"{role} {number + 1}" if number else role, role)
            await cluster.outcomes.start()
            await cluster.commander.start()
            await cluster.group_is_stable(scheduler=schedulers, courier=couriers)
            await cluster.warm_up()
            profilers = self._profile(cluster)
            yield cluster
        finally:
            for each in profilers:
                each.process.send_signal(2)
                each.process.wait(20)
            await cluster.commander.stop()
            await cluster.outcomes.stop()
            stopped = await asyncio.gather(*(asyncio.to_thread(w.stop) for w in cluster.workers.values()))
            for remark in filter(None, stopped):
                self.remarks.append(f"{name}: {remark}")
            with suppress(Exception):
                await self.admin.admin.delete_topics(list(made.made))

    def _profile(self, cluster: Cluster) -> list[Child]:
        if self.profiles is None:
            return []
        found = [
            profiler(child.pid, self.profiles / f"{cluster.name}-{name.replace(' ', '-')}.raw")
            for name, child in cluster.workers.items()
        ]
        return [each for each in found if each is not None]
