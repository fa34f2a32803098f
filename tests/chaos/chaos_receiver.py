"""A webhook receiver that takes note of everything, and now and then says 503 first."""

import random
import time
from typing import Self
from urllib.parse import unquote

import msgspec
from aiohttp import web
from chaos_ledger import Arrival, Ledger


class Body(msgspec.Struct):
    due_ms: int
    rev: int


class NotingReceiver:
    """In the place of the system's own."""

    def __init__(self, ledger: Ledger, seed: int, busy: float) -> None:
        """`busy`: the share of first attempts that are answered 503."""
        self._ledger, self._random, self._busy = ledger, random.Random(seed), busy
        self._refused: set[str] = set()
        self._decode = msgspec.json.Decoder(Body).decode
        self.url = ""

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=2048).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        at_ms = time.time_ns() // 1_000_000
        body = self._decode(await request.read())
        key = unquote(request.headers["webhook-id"])
        if key not in self._refused and self._random.random() < self._busy:
            self._refused.add(key)
            self._ledger.refused.add(key)
            return web.Response(status=503)
        self._ledger.took(Arrival(key, body.rev, body.due_ms, at_ms))
        return web.Response(status=200)
