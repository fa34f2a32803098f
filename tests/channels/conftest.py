"""What channel tests need: due messages, a clock that stands, and receivers that behave as told."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec import Raw

from agents.channels.settings import ChannelSettings
from agents.channels.webhook import WebhookChannel
from schemas.due import DueMessage

NOW_MS = 1_795_420_800_123
LOOPBACK = ("127.0.0.0/8",)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class StandingClock:
    """A clock that shows one time."""

    now: int = NOW_MS

    def now_ms(self) -> int:
        return self.now

    async def sleep_ms(self, ms: float) -> None:  # noqa: ARG002  the port's name
        await asyncio.sleep(0)


@dataclass
class Receiver:
    """A real HTTP server on loopback: what it got, and how it answers."""

    server: TestServer
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: Handler | None = None

    @property
    def url(self) -> str:
        return str(self.server.make_url("/hook"))


def due(**fields: Any) -> DueMessage:
    """A due message; what is not told is ordinary."""
    at = datetime(2026, 11, 23, 8, tzinfo=UTC)
    ordinary: dict[str, Any] = {
        "partition": 0, "epoch": 1, "emitted_at": at, "id": "m1", "key": "m1/0", "target": 0, "birth": 7, "turn": 0,
        "revision": 1, "attempt": 1, "due_at": at, "channel": "webhook", "body": Raw(b'{"text":"hi"}'),
    }  # fmt: skip
    return DueMessage(**(ordinary | fields))


@pytest.fixture(name="due")
def due_factory() -> Callable[..., DueMessage]:
    return due


@pytest.fixture
def secret() -> str:
    return SECRET


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async def hook(request: web.Request) -> web.StreamResponse:
        it.got.append((dict(request.headers), await request.read()))
        return await it.answer(request) if it.answer else web.Response(status=204)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hook)
    async with TestServer(app) as server:
        it = Receiver(server)
        yield it


@asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A TCP server that does what it is told with each connection; gives its port."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await talk(reader, writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture(name="raw_server")
def raw_server_factory() -> Any:
    return raw_server


@pytest.fixture
async def make_webhook(clock: StandingClock) -> AsyncIterator[Callable[..., Awaitable[WebhookChannel]]]:
    made: list[WebhookChannel] = []

    async def make(**settings: Any) -> WebhookChannel:
        ordinary: dict[str, Any] = {"webhook_allow_private": LOOPBACK, "webhook_secret": SECRET}
        channel = WebhookChannel(ChannelSettings(**(ordinary | settings)), clock)
        made.append(channel)
        await channel.start()
        return channel

    yield make
    for channel in made:
        await channel.stop()


@pytest.fixture
async def webhook(make_webhook: Callable[..., Awaitable[WebhookChannel]]) -> WebhookChannel:
    return await make_webhook()


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port on loopback that nobody listens on."""

    def find() -> int:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            return int(taken.getsockname()[1])

    return find


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one PEM file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate of this test: install it")
    pem = tmp_path_factory.mktemp("tls") / "self-signed.pem"
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=loopback"]
    name = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(pem), "-out", f"{pem}.crt"]
    subprocess.run([*make, *name], check=True, capture_output=True)
    pem.write_text(pem.read_text() + Path(f"{pem}.crt").read_text())
    return pem
