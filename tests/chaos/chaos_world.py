"""The world that chaos acts on: brokers, two schedulers, two couriers, a gateway, each a real process, kept alive."""

import asyncio
import contextlib
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiokafka.protocol.admin import DeleteGroupsRequest
from chaos_ledger import Asked, Ledger
from chaos_receiver import NotingReceiver
from chaos_traffic import Traffic
from system import System, until
from system_process import Worker

from topology.embedded_cluster import EmbeddedCluster
from topology.embedded_kafka import EmbeddedKafka
from topology.embedded_postgres import EmbeddedPostgres
from topology.embedded_process import free_port
from topology.postgres import make_pool, schema_of
from topology.producer import Kafka

API_KEY = "chaos-0123456789abcdef"
LOOK_S = 0.3
PAUSE_S = 0.5
BROKER = {"log.cleaner.backoff.ms": "500", "log.segment.delete.delay.ms": "1000"}
SMALL_DISK = "512m"
"""Half an hour at 500/s makes a mirror of 250 MB: a disk that is full of that is no fault that ends."""


class World:
    """Enter it: all is up and traffic flows. `away`: processes that a fault keeps down on purpose."""

    def __init__(
        self, directory: Path, *, brokers: int, rate: int, seed: int, partitions: int, session_s: float
    ) -> None:
        self.directory, self.rate, self.seed, self.session_s = directory, rate, seed, session_s
        self.ledger = Ledger()
        self.many = brokers > 1
        self.cluster: Any = (
            EmbeddedCluster(directory / "kafka", progress=print)
            if self.many
            else EmbeddedKafka(directory / "kafka", progress=print, properties=BROKER)
        )
        self._given = {
            "partitions": partitions,
            "session_timeout": session_s,
            "request_timeout": 8,
            "replication": 3 if self.many else 1,
            "api_key": API_KEY,
            "port": free_port(),
            "log_level": "warning",
        }
        self.archive = EmbeddedPostgres(directory / "postgres", progress=print)
        self.away: set[str] = set()
        self.exits: Counter[str] = Counter()
        self.workers: dict[str, Worker] = {}
        self._stack = AsyncExitStack()

    @property
    def nodes(self) -> list[EmbeddedKafka]:
        return self.cluster.nodes if self.many else [self.cluster]

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        await self._stack.enter_async_context(self.cluster)
        self._given["postgres"] = await self.archive.start()
        self._stack.push_async_callback(self.archive.stop)
        self.system = System(self.cluster.bootstrap, self.directory, start=False, **self._given)
        self.system.receiver = NotingReceiver(self.ledger, self.seed, busy=0.01)  # type: ignore[assignment]
        await self._stack.enter_async_context(self.system)
        self._small_disk()
        for role, number in (("scheduler", 1), ("scheduler", 2), ("courier", 1), ("courier", 2), ("archivist", 1)):
            self.begin(self.worker(role, f"{role}-{number}"))
        self.begin(self.system.worker("gateway", "gateway", [sys.executable, "-m", "gateway.cli", "gateway"]))
        keeping = asyncio.create_task(self._keep_alive())
        self._stack.callback(keeping.cancel)
        await until(self.answers, 90, lambda: "the system does not answer")
        api = f"http://127.0.0.1:{self.system.settings.port}"
        self.traffic = Traffic(
            self.ledger, self.system.commander, lambda: self.system.receiver.url, api, API_KEY, self.rate, self.seed
        )
        await self.traffic.start()

    def worker(self, role: str, name: str, **environment: str) -> Worker:
        """Its own data directory, its own name in the log."""
        data = {"CLEPSYDRA_DATA": str(self.data(name)), "CLEPSYDRA_HEALTH_PORT": str(free_port())}
        return self.system.worker(role, name, **data | environment)

    def data(self, name: str) -> Path:
        return self.directory / "data" / name

    def begin(self, worker: Worker) -> Worker:
        """Started, kept alive, and killed at the end."""
        self.workers[worker.name] = worker
        self._stack.callback(worker.close)
        worker.start()
        return worker

    async def _keep_alive(self) -> None:
        """As a supervisor does: what ended by itself is told and started again."""
        while True:
            await asyncio.sleep(LOOK_S)
            for worker in list(self.workers.values()):
                if not worker.running and worker.name not in self.away:
                    self.exits[self._why(worker)] += 1
                    await asyncio.sleep(PAUSE_S)
                    if worker.name not in self.away:
                        worker.start()

    def _why(self, worker: Worker) -> str:
        said = worker.told("process_ends")
        code = worker._process.returncode if worker._process is not None else "?"
        reason = str(said[-1]["reason"]).partition(":")[0] if said else worker.text().strip().rpartition("\n")[2][:160]
        return f"{worker.name.partition('-')[0]} exit {code}: {reason}"

    def _small_disk(self) -> None:
        """The second scheduler's data lie on a disk of their own that can be filled; where that may not be made, none is."""
        path = self.data("scheduler-2")
        path.mkdir(parents=True)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(path)], check=False, capture_output=True
        )
        self.small_disk = path if mounted.returncode == 0 else None
        if self.small_disk is not None:
            self._stack.callback(subprocess.run, ["umount", "-l", str(path)], check=False)

    # ---- what faults use

    def of(self, role: str) -> list[Worker]:
        return [w for w in self.workers.values() if w.name.startswith(role) and w.running and w.name not in self.away]

    def kill(self, worker: Worker) -> None:
        """kill -9; it is started again as after any end."""
        worker.kill()
        self.exits[f"{worker.name.partition('-')[0]} killed on purpose"] += 1
        if worker.name not in self.away:
            worker.start()

    async def stop(self, worker: Worker) -> None:
        """SIGTERM; it stays away until `back`."""
        self.away.add(worker.name)
        code = await worker.stop(within_s=40)
        if code != 0:
            self.exits[f"SIGTERM of {self._why(worker)}"] += 1

    def back(self, worker: Worker) -> None:
        if not worker.running:
            worker.start()
        self.away.discard(worker.name)

    async def ready(self, worker: Worker, within_s: float = 60) -> None:
        """Until it owns its share and has caught up."""
        url = f"http://127.0.0.1:{worker.environment['CLEPSYDRA_HEALTH_PORT']}/readyz"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:

            async def is_ready() -> bool:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with session.get(url) as response:
                        return response.status == 200
                return False

            await until(is_ready, within_s, lambda: f"{worker.name} is not ready:\n{worker.text()[-2000:]}")

    async def answers(self) -> bool:
        """Whether the owner of every partition answers, and the gateway."""
        if not self.system.commander.ready:
            return False
        probes = {self.system.partition(f"probe-{n}"): f"probe-{n}" for n in range(100)}
        looked = await asyncio.gather(*(self.system.look(probe) for probe in probes.values()), return_exceptions=True)
        return not any(isinstance(found, BaseException) for found in looked)

    def behind_ms(self, now_ms: int) -> int:
        """How late the latest of what is missing is."""
        return max((now_ms - asked.due() for asked in self._in_time()), default=0)

    def _in_time(self) -> list[Asked]:
        """What a receiver has said 503 to comes when its retry is due, by whatever clock."""
        refused = self.ledger.refused
        return [asked for asked in list(self.ledger.outstanding.values()) if f"{asked.id}/0" not in refused]

    async def delete_group(self, group: str) -> None:
        """As kafka-consumer-groups.sh --delete: it must be empty."""
        kafka = Kafka(self.system.settings.brokers)
        await kafka.start()
        try:

            async def deleted() -> bool:
                coordinator = await kafka.admin.find_coordinator(group)
                response = await kafka.admin._client.send(coordinator, DeleteGroupsRequest([group]))
                return all(code in (0, 69) for _, code in response.results)  # 69: there is none

            await until(deleted, 30)
        finally:
            await kafka.stop()

    async def archived(self) -> dict[str, str]:
        """The state of each message as the archive has it."""
        async with make_pool(self.system.settings) as pool:
            rows = await pool.fetch(f"SELECT id, state FROM {schema_of(self.system.settings)}.messages")
            return {row["id"]: row["state"] for row in rows}

    def mirrors(self, worker: Worker) -> Path:
        return self.data(worker.name) / "scheduler-0"

    def wipe(self, worker: Worker) -> None:
        shutil.rmtree(self.mirrors(worker), ignore_errors=True)
