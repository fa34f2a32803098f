"""What the couriers of one channel in one process have taken and not finished: bounded, so that memory is."""

import asyncio

COUNT_MAX = 100_000
BYTES_MAX = 64 * 1024 * 1024
"""Of due records, as they lie in Kafka; in memory a message of 300 bytes takes about three times as much."""


class InHand:
    """Counted by message until it is acked, by record until it and all before it are done."""

    def __init__(self, count_max: int = COUNT_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._count_max, self._bytes_max = count_max, bytes_max
        self.count = self.bytes = 0
        self._less = asyncio.Event()

    def take(self, count: int, size: int) -> None:
        """So many messages and bytes more, or, where negative, fewer."""
        self.count += count
        self.bytes += size
        if not self.full():
            self._less.set()

    def full(self) -> bool:
        """Whether nothing more is to be taken: then there is no sense in waiting for more before writing."""
        return self.count >= self._count_max or self.bytes >= self._bytes_max

    async def room(self) -> None:
        """Return when something may be taken."""
        while self.full():
            self._less.clear()
            await self._less.wait()
