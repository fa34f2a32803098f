"""Everything on this machine: an embedded Kafka and PostgreSQL, topics, and our processes as children."""

import asyncio
import secrets
import shutil
from base64 import b64encode
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import aiohttp
from aiokafka.admin import AIOKafkaAdminClient

from gateway.cli_topics import all_specs
from gateway.errors import UserError
from gateway.supervisor import ChildSpec, Supervisor, last_words
from topology.clients import client_arguments
from topology.embedded_errors import EmbeddedServerError
from topology.embedded_kafka import EmbeddedKafka
from topology.embedded_postgres import EmbeddedPostgres
from topology.embedded_process import free_port, port_is_free
from topology.partitions import one_in_each
from topology.settings import Settings, load_settings
from topology.topic_admin import create_topics

READY_WITHIN_S = 60
LOOK_AGAIN_S = 0.1
POSTGRES_LOOK_S = 1.0
ARCHIVE_NICE = 5
"""On one machine the archive stands back: it may be a moment behind, what is due may not."""
RESTARTS_MAX = 4
"""Before it is ready; then waiting longer helps nobody."""
Tell = Callable[[str], None]


class LocalStack:
    """Kafka, PostgreSQL and our processes; enter it to start them, leave it to stop them, the last one first."""

    def __init__(
        self, data: Path, *, port: int, fresh: bool = False, tell: Tell, settings: Settings, dashboard: bool = False
    ) -> None:
        self.data = data.resolve()
        self.logs = self.data / "logs"
        self._port = port
        self._fresh = fresh
        self._tell = tell
        self._given = settings
        self._with_dashboard = dashboard
        self._stack = AsyncExitStack()
        self.kafka = EmbeddedKafka(self.data / "kafka", fresh=fresh, progress=tell)
        self.postgres = EmbeddedPostgres(self.data / "postgres", fresh=fresh, nice=ARCHIVE_NICE, progress=tell)
        self.supervisor = Supervisor(self.logs, tell)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """Of the gateway."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def dashboard_url(self) -> str | None:
        """Of the dashboard, on the next port; None: not wanted, or the extra is not installed."""
        return f"http://127.0.0.1:{self._port + 1}" if self._with_dashboard and find_spec("nicegui") else None

    async def _start(self) -> None:
        self._port = self._port or free_port()
        for port in (self._port, self._port + 1)[: 1 + (self.dashboard_url is not None)]:
            if not port_is_free(port):
                raise UserError(f"port {port} is taken: stop what listens there, or give another with --port")
        await self._start_servers()
        if self._fresh:
            shutil.rmtree(self.data / "state", ignore_errors=True)
        self.settings = self._settings()
        await _make_topics(self.settings)
        self._stack.push_async_callback(self.supervisor.stop)
        environment = _environment(self.settings)
        for name, *arguments in (
            ("scheduler", "worker", "scheduler"),
            ("courier", "worker", "courier"),
            ("gateway", "gateway"),
            *self._dashboard(),
            ("archivist", "worker", "archivist"),
        ):
            nice = ARCHIVE_NICE if name == "archivist" else 0
            await self.supervisor.start(
                ChildSpec(name=name, arguments=["gateway.cli", *arguments], environment=environment, nice=nice)
            )

    async def _start_servers(self) -> None:
        """Side by side. Raises EmbeddedServerError."""
        servers = (self.kafka, self.postgres)
        for server in servers:
            self._stack.push_async_callback(server.stop)
        started = await asyncio.gather(*(server.start() for server in servers), return_exceptions=True)
        for fault in started:
            if isinstance(fault, BaseException):
                raise fault
        keeping = asyncio.create_task(self._keep_postgres(), name="keep postgres")
        self._stack.push_async_callback(_ended, keeping)

    async def _keep_postgres(self) -> None:
        """Started again when it ends; the archivist waits meanwhile and nothing else needs it."""
        while True:
            await asyncio.sleep(POSTGRES_LOOK_S)
            if not self.postgres.running:
                self._tell(f"PostgreSQL ended and is started again: see {self.postgres.log}")
                self.postgres.kill()
                try:
                    await self.postgres.start()
                except EmbeddedServerError as fault:
                    self._tell(f"{fault.what}: {fault.why}")

    def _dashboard(self) -> list[tuple[str, ...]]:
        if self.dashboard_url is None:
            return []
        port = self.dashboard_url.rpartition(":")[2]
        return [("dashboard", "dashboard", "--url", self.url, "--port", port)]

    def _settings(self) -> Settings:
        key, secret = self._given.api_key, self._given.webhook_secret
        return load_settings(
            brokers=self.kafka.bootstrap,
            postgres=self.postgres.url,
            data=self.data / "state",
            api_key=key or _kept(self.data / "api-key", lambda: secrets.token_hex(16)),
            webhook_secret=secret or _kept(self.data / "webhook-secret", _webhook_secret),
            webhook_allow_private=True,
            replication=1,
            host="127.0.0.1",
            port=self._port,
        )

    async def ready(self) -> None:
        """Returns when the owner of every partition answers. Raises UserError, naming the logs, after a minute."""
        key = self.settings.api_key
        assert key is not None
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"}
        try:
            async with asyncio.timeout(READY_WITHIN_S), aiohttp.ClientSession(self.url, headers=headers) as session:
                for probe in one_in_each(self.settings.partitions):
                    while not await _answers(session, probe):
                        self._check_children()
                        await asyncio.sleep(LOOK_AGAIN_S)
        except TimeoutError:
            raise UserError(
                f"not ready within {READY_WITHIN_S} s: see scheduler.log, courier.log, gateway.log in {self.logs}"
            ) from None

    def _check_children(self) -> None:
        """Raises UserError for one that does not stay up."""
        for child in self.supervisor.children:
            if child.restarts >= RESTARTS_MAX:
                raise UserError(f"{child.spec.name} does not stay up; the end of {child.log}: {last_words(child.log)}")


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _answers(session: aiohttp.ClientSession, probe: str) -> bool:
    """Whether the owner says that it has no such message."""
    try:
        async with session.get(f"/v1/messages/{probe}") as response:
            return response.status == 404
    except aiohttp.ClientError:
        return False


async def _make_topics(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(**client_arguments(settings))
    await admin.start()
    try:
        await create_topics(admin, all_specs(settings), replication=1)
    finally:
        await admin.close()


def _environment(settings: Settings) -> dict[str, str]:
    """What the children are told: what differs from their defaults or from our own environment."""
    assert settings.api_key is not None
    assert settings.webhook_secret is not None
    assert settings.postgres is not None
    return {
        "CLEPSYDRA_BROKERS": settings.brokers,
        "CLEPSYDRA_POSTGRES": settings.postgres,
        "CLEPSYDRA_DATA": str(settings.data),
        "CLEPSYDRA_API_KEY": settings.api_key.get_secret_value(),
        "CLEPSYDRA_WEBHOOK_SECRET": settings.webhook_secret.get_secret_value(),
        "CLEPSYDRA_WEBHOOK_ALLOW_PRIVATE": "true",
        "CLEPSYDRA_REPLICATION": "1",
        "CLEPSYDRA_HOST": settings.host,
        "CLEPSYDRA_PORT": str(settings.port),
        "PYTHONUNBUFFERED": "1",
    }


def _kept(file: Path, make: Callable[[], str]) -> str:
    """A secret of this data directory, readable for its owner only."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(make())
    return file.read_text()


def _webhook_secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(32)).decode()
