"""The single-writer discipline: claim a log, know where the next record must land, look when it landed elsewhere."""

import asyncio
from collections.abc import Callable, Sequence

from agents.ports import Log, LogBrokenError, Record, Stored


class LostClaimError(Exception):
    """A newer owner has claimed this partition: what was written after its claim is void, let go."""


class ClaimedLog:
    """A log with one writer at a time (rule 1, `continuity`; rule 9, `courier_claim`).

    Where a Log cuts one append into batches and another writer comes between, it must not answer the expected offset.
    """

    def __init__(self, log: Log, is_claim: Callable[[Stored], bool]) -> None:
        self.log = log
        self.epoch = -1
        """Where the claim landed."""
        self.next = 0
        """The offset that the next record must get."""
        self._is_claim = is_claim
        self._voids: list[str] = []
        self._turn = asyncio.Lock()

    async def claim(self, record: Record) -> int:
        """Write the claim; its offset is the epoch. Raises LogBrokenError."""
        async with self._turn:
            self.epoch = await self.log.append([record])
            self.next = self.epoch + 1
            return self.epoch

    async def append(self, records: Sequence[Record]) -> int:
        """Write in order; the offset of the first. Raises LostClaimError (a newer claim before it), LogBrokenError."""
        async with self._turn:
            landed = await self.log.append(records)
            if not self.landed_as_expected(landed):
                await self._look(landed + len(records), {(r.key, r.value) for r in records})
            self.next = landed + len(records)
            return landed

    async def check(self) -> None:
        """Compare the log's end with `next`, for an owner with nothing to write. Raises as append."""
        if self._turn.locked():
            return  # the append under way will tell
        async with self._turn:
            end = await self.log.end()
            if not self.landed_as_expected(end):
                await self._look(end, set())
                self.next = end

    @property
    def voids(self) -> tuple[str, ...]:
        """What `take_void` would give."""
        return tuple(self._voids)

    def take_void(self) -> list[str]:
        """Keys of void records found since the last call: write a valid row over each, before compaction chooses."""
        voids, self._voids = self._voids, []
        return voids

    def landed_as_expected(self, landed: int) -> bool:
        """Whether nobody else has written since (rule 1, `continuity`)."""
        return landed == self.next

    def is_newer_claim(self, stored: Stored) -> bool:
        """Whether a foreign record is the claim of a newer owner; any other is void."""
        return self._is_claim(stored)

    async def _look(self, end: int, own: set[tuple[bytes | None, bytes | None]]) -> None:
        if end < self.next:
            raise LogBrokenError(f"the log ends at {end} and offset {self.next - 1} was acknowledged: it lost records")
        async for found in self.log.read(self.next, end):
            for stored in found:
                if self.is_newer_claim(stored):
                    raise LostClaimError(f"a newer owner claimed the partition at offset {stored.offset}")
                if stored.key is not None and (stored.key, stored.value) not in own:
                    self._voids.append(stored.key.decode(errors="replace"))
