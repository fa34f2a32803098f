"""A webhook receiver in the test's own loop: keeps every request, answers by script, can be told to hold its answers."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

import msgspec
from aiohttp import web


class Arrival(NamedTuple):
    """A request: its delivery key, what it held, when it was in hand, what it was answered."""

    key: str
    body: Any
    at_ms: int
    status: int
    headers: Mapping[str, str]

    @property
    def id(self) -> str:
        return self.key.rpartition("/")[0]


class Reply(NamedTuple):
    """An answer by script."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: str = ""


OK = Reply()


class Receiver:
    """`script`: the replies to one message's requests, in order; then 200. `open`: cleared, answers wait for it."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.script: dict[str, list[Reply]] = {}
        self.open = asyncio.Event()
        self.open.set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=2048)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.open.set()
        await self._runner.cleanup()

    @property
    def connected(self) -> bool:
        """Whether anybody's connection is open; of who was killed it is until all that was sent is read."""
        return bool(self._server.connections)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        at_ms = time.time_ns() // 1_000_000
        reply = self._take(request.headers, await request.read(), at_ms)
        await self.open.wait()
        return web.Response(status=reply.status, headers=reply.headers, text=reply.body)

    def _take(self, headers: Mapping[str, str], body: bytes, at_ms: int) -> Reply:
        """Keep a request; what it is answered."""
        assert headers["webhook-id"] == headers["idempotency-key"]
        key = unquote(headers["webhook-id"])
        replies = self.script.get(key.rpartition("/")[0])
        reply = replies.pop(0) if replies else OK
        self.arrivals.append(Arrival(key, msgspec.json.decode(body), at_ms, reply.status, dict(headers)))
        return reply

    def of(self, message_id: str) -> list[Arrival]:
        """What came of one message."""
        return [arrival for arrival in self.arrivals if arrival.id == message_id]

    def ids(self) -> set[str]:
        """Messages of which something came."""
        return {arrival.id for arrival in self.arrivals}

    def keys(self) -> Counter[str]:
        """How often each key came and was taken."""
        return Counter(arrival.key for arrival in self.arrivals if arrival.status < 300)

    def repeats(self) -> dict[str, int]:
        """Keys that came more than once: what a receiver that checks keys drops."""
        return {key: count for key, count in self.keys().items() if count > 1}

    def early(self) -> list[Arrival]:
        """What came before its time, by the `due_ms` in its body."""
        return [arrival for arrival in self.arrivals if arrival.at_ms < arrival.body["due_ms"]]

    def missing(self, ids: Iterable[str]) -> set[str]:
        """Of these, what has not come (to its first target)."""
        return {message_id for message_id in ids if f"{message_id}/0" not in self.keys()}
