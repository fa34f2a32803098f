"""Logs of a simulated Kafka: what a process writes is under way first and lands later, after its death too, or never."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.ports import LogBrokenError, Record, Stored


@dataclass
class SimLog:
    """One partition: records by offset; None where compaction took one away."""

    name: str
    records: list[Stored | None] = field(default_factory=list)

    def add(self, record: Record, at_ms: int) -> int:
        offset = len(self.records)
        self.records.append(Stored(offset, record.key, record.value, at_ms, record.headers))
        return offset


@dataclass(eq=False)
class Op:
    """Something a process asked of the world. `process` None: the process is gone, the request is still under way."""

    number: int
    process: "Any"
    kind: str
    target: Any
    what: Any
    future: asyncio.Future[Any]

    def answer(self, value: Any) -> None:
        if not self.future.done():
            self.future.set_result(value)

    def fail(self) -> None:
        if not self.future.done():
            self.future.set_exception(LogBrokenError("it may have landed"))


class PortLog:
    """agents.ports.Log of one process: every call is an Op that the world carries out when it likes."""

    def __init__(self, process: Any, log: SimLog) -> None:
        self.process, self.log = process, log

    async def append(self, records: Sequence[Record]) -> int:
        return await self.process.ask("append", self.log, list(records))

    async def end(self) -> int:
        return await self.process.ask("end", self.log, None)

    async def read(self, start: int, end: int) -> AsyncIterator[list[Stored]]:
        position = max(start, 0)
        while position < end:
            found = await self.process.ask("read", self.log, (position, end))
            if not found:
                return
            position = found[-1].offset + 1
            yield [r for r in found if r.key is not None or r.value is not None]
