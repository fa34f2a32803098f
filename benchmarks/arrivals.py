"""What a receiver process writes down, and how its parent asks it: lines on stdin, lines on stdout."""

import asyncio
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.figures import Arrival

LINE_MAX = 256 * 1024 * 1024


class Notes:
    """Arrivals in a receiver process, by its own clock."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[str, float]] = []

    def take(self, key: str) -> None:
        self.arrivals.append((key, time.time() * 1000))

    async def serve(self) -> None:
        """Answers `count` and `report` until stdin ends."""
        print("ready", flush=True)
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            said = len(self.arrivals) if line.strip() == b"count" else self.arrivals
            sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
            sys.stdout.flush()


class Receiver:
    """A receiver process, seen from its parent."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, module: str, *arguments: str, log: Path) -> "Receiver":
        """Runs `python -m module`; returns when it is ready."""
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=errors, limit=LINE_MAX, start_new_session=True,
            )  # fmt: skip
        receiver = cls(process)
        try:
            await receiver._line()
        except BaseException:
            await receiver.stop()
            raise
        return receiver

    async def _line(self) -> bytes:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 30)
        if not line:
            raise RuntimeError("the receiver ended: see its log")
        return line

    async def _ask(self, what: bytes) -> bytes:
        assert self.process.stdin is not None
        self.process.stdin.write(what + b"\n")
        return await self._line()

    async def count(self) -> int:
        """How many arrived."""
        return msgspec.json.decode(await self._ask(b"count"), type=int)

    async def report(self) -> list[Arrival]:
        """All that arrived."""
        return [Arrival(*a) for a in msgspec.json.decode(await self._ask(b"report"), type=list[tuple[str, float]])]

    async def stop(self) -> None:
        """Ends it."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
