"""What a process keeps for each partition it was given: one running part, begun again when it lost its claim."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import structlog
from aiokafka.errors import KafkaError

from agents.claimed_log import LostClaimError
from agents.ports import LogBrokenError

AGAIN_MS = 500
STEADY_S = 30.0
"""One that ran so long begins to fail anew."""
MEND_WITHIN_S = 120.0
"""A partition that could not be taken up again for so long ends the process: a supervisor can tell somebody."""
logger = structlog.get_logger(__name__)


class Kept(Protocol):
    """An owner or courier of one partition."""

    async def run(self) -> None:
        """Until it is stopped; LostClaimError: somebody newer has it."""
        ...

    def ready(self) -> bool:
        """Whether it has caught up: before, it may be stopped where it stands."""
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
        self._failing_since: dict[int, float] = {}

    def assigned(self) -> set[int]:
        """Partitions that are ours, whether caught up or not."""
        return set(self._tasks)

    def assign(self, partitions: set[int]) -> None:
        """These are ours now, and no others."""
        for partition in partitions - self._tasks.keys():
            self._tasks[partition] = asyncio.create_task(self._keep(partition))

    async def revoke(self, within_s: float) -> None:
        """Let all go: what is under way is finished, within so many seconds; what is still loading stops at once."""
        tasks, self._tasks = self._tasks, {}
        self._failing_since.clear()
        for partition, task in tasks.items():
            part = self.kept.get(partition)
            if part is not None and part.ready():
                part.stop()
            else:
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
            return self._mended(partition, error)
        self.kept[partition] = part
        begun = asyncio.get_running_loop().time()
        try:
            await part.run()
        except LostClaimError as lost:
            logger.warning("claim_lost", partition=partition, reason=str(lost))
            return True
        except Exception as error:  # noqa: BLE001 - told to the process, which ends
            if asyncio.get_running_loop().time() - begun > STEADY_S:
                self._failing_since.pop(partition, None)
            return self._mended(partition, error)
        finally:
            self.kept.pop(partition, None)
            await asyncio.shield(self._closed(part))
        return False

    async def _closed(self, part: K) -> None:
        try:
            await part.close()
        except (LostClaimError, LogBrokenError, KafkaError):
            logger.warning("not_closed_in_peace", exc_info=True)  # all it could not say is replayed

    def _mended(self, partition: int, error: Exception) -> bool:
        """Whether a new claim mends it: the brokers were away, or a write's fate is unknown. All else ends the process."""
        now = asyncio.get_running_loop().time()
        since = self._failing_since.setdefault(partition, now)
        if not isinstance(error, (LogBrokenError, KafkaError)) or now - since > MEND_WITHIN_S:
            self._broken(error)
            return False
        logger.warning("claimed_again", partition=partition, reason=f"{type(error).__name__}: {error}")
        return True
