"""Jobs that came before their time by this machine's clock (G2), or shortly before their slot: they wait here, not in a worker."""

import asyncio
import heapq
from collections.abc import Callable, Sequence

from agents.ports import Clock
from agents.send_job import Job
from schemas.times import ms_of


class EarlyJobs:
    """Given back when they are due, soonest first."""

    def __init__(self, clock: Clock, due: Callable[[Sequence[Job]], None]) -> None:
        self._clock = clock
        self._due = due
        self._waiting: list[tuple[int, int, Job]] = []
        self._count = 0
        self._timer: asyncio.Task[None] | None = None

    def add(self, job: Job) -> None:
        """Keep it until it is due, or until its slot."""
        self._count += 1
        entry = (max(job.at_ms, ms_of(job.message.due_at)), self._count, job)
        heapq.heappush(self._waiting, entry)
        if self._timer is None or self._waiting[0] is entry:
            self.cancel()
            self._timer = asyncio.create_task(self._wait())

    def cancel(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _wait(self) -> None:
        while self._waiting:
            left_ms = self._waiting[0][0] - self._clock.now_ms()
            if left_ms > 0:
                await self._clock.sleep_ms(left_ms)
            else:
                self._due((heapq.heappop(self._waiting)[2],))
        self._timer = None
