"""The watchdog (rule 8): compares what is finished, committed and there to be read; what stands still is told, then mended."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import structlog

from topology.watches import StandingMetrics

LOOK_S = 5.0
COMMIT_AFTER = 3
"""Looks in a row at the same committed offset, with more finished, after which the watchdog commits by itself."""
COMMIT_WITHIN_S = 2.0
ALERT_AFTER = 6
EXIT_AFTER = 24
"""Looks, not seconds: a process that was frozen finds that much time gone and nothing wrong."""

logger = structlog.get_logger(__name__)


class StandsStillError(Exception):
    """A partition's records are there and nothing finishes, or what is finished cannot be committed."""


class Standing(NamedTuple):
    """A partition that is read: all before `done` is finished; the log ends at `end`.

    `elsewhere`: what holds it up is another's, who tells it: only how far behind it is counts.
    """

    topic: str
    partition: int
    done: int
    end: int
    elsewhere: bool = False


class _Still(NamedTuple):
    at: int
    looks: int

    def look(self, at: int, behind: bool) -> "_Still":  # noqa: FBT001 - one caller
        return _Still(at, self.looks + 1 if behind and at == self.at else 0)


NEW = _Still(-1, 0)


class Watchdog:
    """`restart_helps`: whether work that stands still ends the process, or is only told (see docs/decisions.md)."""

    def __init__(
        self,
        standings: Callable[[], Awaitable[Iterable[Standing]]],
        committed: Callable[[str, int], int | None],
        commit: Callable[[str, int, int], Awaitable[None]],
        end_process: Callable[[BaseException], Any],
        *,
        restart_helps: bool,
        metrics: StandingMetrics,
    ) -> None:
        """`commit`: topic, partition, offset. `metrics` is told what each look found."""
        self._metrics = metrics
        self._standings, self._committed, self._commit = standings, committed, commit
        self._end_process, self._restart_helps = end_process, restart_helps
        self._work: dict[tuple[str, int], _Still] = {}
        self._commits: dict[tuple[str, int], _Still] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - Kafka may be away; what stands still is seen again
                logger.warning("watchdog_blind", reason=repr(error))

    async def look(self) -> None:
        """Once. What is no longer ours is forgotten."""
        found = list(await self._standings())
        places = {(s.topic, s.partition) for s in found}
        self._work = {place: still for place, still in self._work.items() if place in places}
        self._commits = {place: still for place, still in self._commits.items() if place in places}
        ours = [standing for standing in found if not standing.elsewhere]
        for standing in ours:
            self._look_at_work(standing)
        await asyncio.gather(*(self._try_to_commit(s) for s in ours if self._look_at_commit(s)))
        self._tell(found)

    def _tell(self, found: list[Standing]) -> None:
        lags, still = Counter[str](), Counter[str]()
        for s in found:
            place = (s.topic, s.partition)
            lags[s.topic] += max(0, s.end - s.done)
            looks = (by.get(place, NEW).looks for by in (self._work, self._commits))
            still[s.topic] += max(looks) >= ALERT_AFTER
        self._metrics.lags, self._metrics.still = dict(lags), dict(still)

    def _look_at_work(self, s: Standing) -> None:
        place = (s.topic, s.partition)
        still = self._work[place] = self._work.get(place, NEW).look(s.done, behind=s.done < s.end)
        if still.looks == ALERT_AFTER:
            logger.error(
                "work_stands_still",
                place=f"{s.topic}/{s.partition}",
                done=s.done,
                end=s.end,
                seconds=LOOK_S * still.looks,
            )
        if still.looks == EXIT_AFTER and self._restart_helps:
            self._end(s, f"nothing finishes at offset {s.done}, the log ends at {s.end}")

    def _look_at_commit(self, s: Standing) -> bool:
        """Whether to commit: a hole in what Faust was told stays until a rebalance (faust 596); what is finished is known here."""
        place = (s.topic, s.partition)
        committed = self._committed(*place)
        if committed is None:
            return False
        still = self._commits[place] = self._commits.get(place, NEW).look(committed, behind=committed < s.done)
        if still.looks == EXIT_AFTER:
            self._end(s, f"offset {committed} is committed and cannot be moved to {s.done}, which is finished")
            return False
        if still.looks >= COMMIT_AFTER:
            logger.warning("commit_stands_still", place=f"{s.topic}/{s.partition}", committed=committed, done=s.done)
        return still.looks >= COMMIT_AFTER

    async def _try_to_commit(self, s: Standing) -> None:
        """One that never comes back must not hold up who is to tell of it."""
        try:
            async with asyncio.timeout(COMMIT_WITHIN_S):
                await self._commit(s.topic, s.partition, s.done)
        except Exception as error:  # noqa: BLE001 - it is tried again at the next look, and told as standing still
            logger.warning("commit_failed", place=f"{s.topic}/{s.partition}", reason=repr(error))

    def _end(self, s: Standing, why: str) -> None:
        self._end_process(StandsStillError(f"{s.topic}/{s.partition} stands still: {why}"))
