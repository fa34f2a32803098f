"""The partitions of a process are loaded one after another: the first is ready long before the last."""

from collections.abc import Iterator
from contextlib import contextmanager

from agents.ports import Clock

STALLED_MS = 1_000
"""One whose log has given nothing for so long does not hold the others up."""
LOOK_MS = 10


class LoadOrder:
    """Of the partitions that load, the one that began first takes slices in; shared by all owners of a process."""

    def __init__(self) -> None:
        """Nothing loads."""
        self._took_ms: dict[int, int] = {}
        """In the order in which they began: when each last took a slice in."""

    @contextmanager
    def loading(self, partition: int, now_ms: int) -> Iterator[None]:
        """Has a place in the order meanwhile."""
        self._took_ms[partition] = now_ms
        try:
            yield
        finally:
            self._took_ms.pop(partition, None)

    async def wait(self, partition: int, clock: Clock) -> None:
        """Until this partition may take a slice in."""
        while self._must_wait(partition, clock.now_ms()):
            await clock.sleep_ms(LOOK_MS)
        self._took_ms[partition] = clock.now_ms()

    def _must_wait(self, partition: int, now_ms: int) -> bool:
        for other, took_ms in self._took_ms.items():
            if other == partition:
                return False
            if abs(now_ms - took_ms) < STALLED_MS:
                return True
        return False
