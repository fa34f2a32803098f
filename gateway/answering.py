"""Many commands in one request: asked in portions, a bounded number at a time, and answered in lines as they come."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import NamedTuple

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.openapi import NDJSON
from schemas.commands import Command
from topology.commander import Commander
from topology.tally import Found

UNANSWERED_MAX = 4_000
"""Of all requests together: more would not be faster, and a single edit would wait behind them at its owner."""
PORTIONS_HELD_MAX = 200
"""Of one request, answered but not taken by its client: so many clients may write all before they read, up to here."""


class Portion(NamedTuple):
    """Some commands, and how their answers are told: the bytes of whole lines."""

    commands: Sequence[Command]
    told: Callable[[Sequence[Found]], bytes]


class Room:
    """How many more commands may be under way."""

    def __init__(self, size: int = UNANSWERED_MAX) -> None:
        self._size = self._free = size
        self._waiting: set[asyncio.Future[None]] = set()

    async def take(self, count: int) -> None:
        """Waits for places; more than there are at all wait for all."""
        wanted = min(count, self._size)
        while self._free < wanted:
            freed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(freed)
            try:
                await freed
            finally:
                self._waiting.discard(freed)
        self._free -= wanted

    def give(self, count: int) -> None:
        """They are answered, or given up."""
        self._free += min(count, self._size)
        for freed in self._waiting:
            if not freed.done():
                freed.set_result(None)


class Answering:
    """What the routes with many answers share: one commander, one room."""

    def __init__(self, commander: Commander) -> None:
        self._commander = commander
        self._room = Room()

    async def run(self, portions: AsyncGenerator[Portion], tell: Callable[[bytes], Awaitable[None]]) -> None:
        """Asks portion after portion, many at a time, and tells the answers in their order. Raises the first error."""
        under_way: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(PORTIONS_HELD_MAX)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask_all(portions, under_way, group))
                while (answered := await under_way.get()) is not None:
                    await tell(await answered)
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None

    async def _ask_all(
        self,
        portions: AsyncGenerator[Portion],
        under_way: "asyncio.Queue[asyncio.Task[bytes] | None]",
        group: asyncio.TaskGroup,
    ) -> None:
        async with aclosing(portions):
            async for portion in portions:
                await self._room.take(count := len(portion.commands))
                task = group.create_task(self._ask(portion))
                task.add_done_callback(lambda _, count=count: self._room.give(count))  # type: ignore[misc]
                await under_way.put(task)
        await under_way.put(None)

    async def _ask(self, portion: Portion) -> bytes:
        return portion.told(await self._commander.ask_many(portion.commands) if portion.commands else [])


class LinesResponse(Response):
    """NDJSON that is told while the request still comes in: it reads and writes the connection itself."""

    media_type = NDJSON

    def __init__(self, answering: Answering, portions: AsyncGenerator[Portion]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._answering = answering
        self._portions = portions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Ends early when the client has gone: what was asked by then is done."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

        async def tell(lines: bytes) -> None:
            if lines:
                await send({"type": "http.response.body", "body": lines, "more_body": True})

        with suppress(ClientDisconnect):
            await self._answering.run(self._portions, tell)
        await send({"type": "http.response.body", "body": b""})
