"""A webhook receiver in a process of its own: takes note of everything, and now and then says 503 first.

Beside the traffic in one process it would answer late where the machine is busy, and be taken for a silent endpoint.
"""

import asyncio
import random
import sys
import time
from pathlib import Path
from typing import Self
from urllib.parse import unquote

import msgspec
from aiohttp import web
from chaos_ledger import Arrival, Ledger

from topology.embedded_process import die_with_parent

TELL_S = 0.02
REFUSED = "refused"


class Body(msgspec.Struct):
    due_ms: int
    rev: int


class NotingReceiver:
    """In the place of the system's own; what its process tells goes into the ledger."""

    def __init__(self, ledger: Ledger, seed: int, busy: float) -> None:
        """`busy`: the share of first attempts that are answered 503."""
        self._ledger, self._arguments = ledger, (str(seed), str(busy))
        self.url = ""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__)),
            *self._arguments,
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=die_with_parent,
        )
        assert self._process.stdout is not None
        self.url = (await self._process.stdout.readline()).decode().strip()
        self._reading = asyncio.create_task(self._read(self._process.stdout))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await self._process.wait()
        await self._reading

    async def _read(self, lines: asyncio.StreamReader) -> None:
        while line := await lines.readline():
            key, *rest = line.decode().rstrip("\n").split("\t")
            if rest == [REFUSED]:
                self._ledger.refused.add(key)
            else:
                self._ledger.took(Arrival(key, *map(int, rest)))


class Serving:
    """The other process."""

    def __init__(self, seed: int, busy: float) -> None:
        self._random, self._busy = random.Random(seed), busy
        self._refused: set[str] = set()
        self._lines: list[str] = []
        self._decode = msgspec.json.Decoder(Body).decode

    async def run(self) -> None:
        runner = web.ServerRunner(web.Server(self._handle, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
        self._tell(f"http://127.0.0.1:{runner.addresses[0][1]}/hook\n")
        while True:
            await asyncio.sleep(TELL_S)
            if self._lines:
                lines, self._lines = self._lines, []
                self._tell("".join(lines))

    def _tell(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        at_ms = time.time_ns() // 1_000_000
        body = self._decode(await request.read())
        key = unquote(request.headers["webhook-id"])
        if key not in self._refused and self._random.random() < self._busy:
            self._refused.add(key)
            self._lines.append(f"{key}\t{REFUSED}\n")
            return web.Response(status=503)
        self._lines.append(f"{key}\t{body.rev}\t{body.due_ms}\t{at_ms}\n")
        return web.Response(status=200)


if __name__ == "__main__":
    import uvloop

    uvloop.run(Serving(int(sys.argv[1]), float(sys.argv[2])).run())
