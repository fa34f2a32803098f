"""In-memory stand-ins for agents.ports: deterministic, without threads or real time. Kafka itself is never mocked."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from agents.ports import LogBrokenError, Record, Stored
from schemas.due import DueMessage
from schemas.outcomes import Delivered, DoneBefore, Outcome, OutcomeRecord, Paced
from schemas.times import ms_of

NOW_MS = 1_790_000_000_000


class FakeClock:
    """Stands still until it is set; who sleeps past the new time wakes in order."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.ms = now_ms
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ms(self) -> int:
        return self.ms

    async def sleep_ms(self, ms: float) -> None:
        if ms <= 0:
            await asyncio.sleep(0)
            return
        self._count += 1
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.ms + ms, self._count, woken))
        await woken

    async def advance(self, ms: int) -> None:
        """Go to a later time, waking sleepers one by one at theirs."""
        until = self.ms + ms
        while self._sleepers and self._sleepers[0][0] <= until:
            when, _, woken = heapq.heappop(self._sleepers)
            self.ms = max(self.ms, int(when))
            if not woken.done():
                woken.set_result(None)
            await settle()
        self.ms = until
        await settle()


async def settle(turns: int = 50) -> None:
    """Let everything run that can run without time passing."""
    for _ in range(turns):
        await asyncio.sleep(0)


class FakeLog:
    """One partition. `held`: appends wait for `release`; `broken`: they raise."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.stored: list[Stored] = []
        self.appends = 0
        self.held = False
        self.broken = False
        self._clock = clock
        self._released = asyncio.Event()

    async def append(self, records: Sequence[Record]) -> int:
        await asyncio.sleep(0)
        while self.held:
            await self._released.wait()
        if self.broken:
            raise LogBrokenError("the fake log is broken")
        self.appends += 1
        return self.land(*records)

    def release(self) -> None:
        self.held = False
        self._released.set()
        self._released = asyncio.Event()

    def land(self, *records: Record) -> int:
        """What another writer lands."""
        first, at_ms = len(self.stored), self._clock.ms if self._clock else NOW_MS
        self.stored += [Stored(first + n, r.key, r.value, at_ms, r.headers) for n, r in enumerate(records)]
        return first

    async def read(self, start: int, end: int) -> AsyncIterator[list[Stored]]:
        await asyncio.sleep(0)
        for at in range(start, min(end, len(self.stored)), 100):
            yield self.stored[at : min(at + 100, end)]

    async def end(self) -> int:
        await asyncio.sleep(0)
        return len(self.stored)

    def decoded(self, read: Callable[[bytes], Any]) -> list[Any]:
        """All values, packs opened."""
        found: list[Any] = []
        for stored in self.stored:
            if stored.value is not None:
                value = read(stored.value)
                found += value if isinstance(value, list) else [value]
        return found


class FakeMemory:
    """A courier's memory in a dict."""

    def __init__(self) -> None:
        self.applied = 0
        self.claim = -1
        self.epochs: dict[int, int] = {}
        self.done_before: DoneBefore | None = None
        self.outcomes: dict[str, OutcomeRecord] = {}
        self.paces: dict[str, Paced] = {}

    def get(self, key: str) -> OutcomeRecord | None:
        return self.outcomes.get(key)

    def get_many(self, keys: Sequence[str]) -> list[OutcomeRecord | None]:
        return [self.outcomes.get(key) for key in keys]

    def apply(self, outcomes: Iterable[tuple[str, OutcomeRecord, bytes]], applied: int) -> None:
        for key, record, _ in outcomes:
            self.outcomes[key] = record
            self.paces |= {paced.flow: paced for paced in record.paced}
        self.applied = applied

    def forget(self, before_ms: int) -> int:
        old = [key for key, record in self.outcomes.items() if ms_of(record.finished_at) < before_ms]
        for key in old:
            del self.outcomes[key]
        return len(old)

    def close(self) -> None:
        pass


class FakeChannel:
    """Answers by script: per message id an outcome or an exception; `held` ids wait for `release`."""

    name = "log"
    delays_ms: tuple[int, ...] = ()

    def __init__(self, *, honours_key: bool = True, timeout_ms: int = 10_000, concurrency: int = 16) -> None:
        self.honours_key = honours_key
        self.timeout_ms = timeout_ms
        self.concurrency = concurrency
        self.sent: list[DueMessage] = []
        self.script: dict[str, Outcome | BaseException] = {}
        self.held: dict[str, asyncio.Event] = {}

    def hold(self, *ids: str) -> None:
        self.held |= {id_: asyncio.Event() for id_ in ids}

    def release(self, *ids: str) -> None:
        for id_ in ids:
            self.held[id_].set()

    def ids(self) -> list[str]:
        return [m.id for m in self.sent]

    async def start(self) -> None:
        pass

    async def send(self, message: DueMessage) -> Outcome:
        self.sent.append(message)
        if message.id in self.held:
            await self.held[message.id].wait()
        answer = self.script.get(message.id, Delivered())
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def stop(self) -> None:
        pass


class FakeSettingsTable:
    """The settings of one process that nobody else writes."""

    def __init__(self, *records):
        self.records = {(type(record), record.key): record for record in records}
        self.listeners = []

    def get(self, kind, key):
        return self.records.get((kind, key))

    def all(self, kind):
        return {key: record for (found, key), record in self.records.items() if found is kind}

    def on_change(self, kind, tell):
        self.listeners.append((kind, tell))
        for key, record in self.all(kind).items():
            tell(key, record)

    async def put(self, record):
        self.records[type(record), record.key] = record
        self._tell(type(record), record.key, record)

    async def remove(self, kind, key):
        self.records.pop((kind, key), None)
        self._tell(kind, key, None)

    def _tell(self, kind, key, record):
        for wanted, tell in self.listeners:
            if wanted is kind:
                tell(key, record)
