"""What a process keeps for each partition it was given: one running part, begun again when it lost its claim."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import structlog

from agents.claimed_log import LostClaimError

AGAIN_MS = 500
logger = structlog.get_logger(__name__)


class Kept(Protocol):
    """An owner or courier of one partition."""

    async def run(self) -> None:
        """Until it is stopped; LostClaimError: somebody newer has it."""
        ...

    def stop(self) -> None:
        """Start nothing more; `run` returns when what is under way is durable."""
        ...

    async def close(self) -> None:
        """Release what it holds; called once, after `run`."""
        ...


K = TypeVar("K", bound=Kept)


class Keeping(Generic[K]):
    """Parts by partition. `broken` is told of an error that only a new process mends."""

    def __init__(self, make: Callable[[int], Awaitable[K]], broken: Callable[[BaseException], None]) -> None:
        self._make = make
        self._broken = broken
        self.kept: dict[int, K] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def assigned(self) -> set[int]:
        """Partitions that are ours, whether caught up or not."""
        return set(self._tasks)

    def assign(self, partitions: set[int]) -> None:
        """These are ours now, and no others."""
        for partition in partitions - self._tasks.keys():
            self._tasks[partition] = asyncio.create_task(self._keep(partition))

    async def revoke(self, within_s: float) -> None:
        """Let all go: what is under way is finished, within so many seconds."""
        tasks, self._tasks = self._tasks, {}
        for part in self.kept.values():
            part.stop()
        for partition, task in tasks.items():
            if partition not in self.kept:
                task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks.values(), timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _keep(self, partition: int) -> None:
        while await self._once(partition):  # noqa: ASYNC110 - there is nothing to wait for but time
            await asyncio.sleep(AGAIN_MS / 1000)

    async def _once(self, partition: int) -> bool:
        """Whether it is to be begun again."""
        try:
            part = await self._make(partition)
        except Exception as error:  # noqa: BLE001 - told to the process, which ends
            self._broken(error)
            return False
        self.kept[partition] = part
        try:
            await part.run()
        except LostClaimError as lost:
            logger.warning("claim_lost", partition=partition, reason=str(lost))
            return True
        except Exception as error:  # noqa: BLE001 - told to the process, which ends
            self._broken(error)
        finally:
            self.kept.pop(partition, None)
            await asyncio.shield(part.close())
        return False
