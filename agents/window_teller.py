"""Tells what is in each due minute of a partition, on `windows`: what has changed, each second, a bounded share at once."""

from collections.abc import Mapping

from agents.ports import Clock, Log, Mirror, Record
from schemas.times import MINUTE_MS
from schemas.window_records import window_key, window_record
from schemas.windows import LIVE_PLACES, NOTHING
from schemas.wire import encode

WINDOWS_SLICE = 1_000
KEPT_MS = 90 * 24 * 60 * MINUTE_MS
DROP_TICKS = 3_600
RECENT_MS = 2 * 24 * 60 * MINUTE_MS
"""Windows that a former owner may have changed without telling: those younger, and those with something still to do."""


class WindowTeller:
    """Publishes windows; what it says of one is what the mirror held at that moment, so the newest record is exact."""

    def __init__(self, partition: int, mirror: Mirror, log: Log, clock: Clock) -> None:
        """Tells nothing before `begin`."""
        self.partition, self.mirror, self.log, self.clock = partition, mirror, log, clock
        self.epoch = -1
        self.in_flight: Mapping[int, int] = {}
        self.ticks = 0

    def begin(self, epoch: int) -> None:
        """A new owner tells again what a former one may have left untold."""
        self.epoch = epoch
        since = self.clock.now_ms() - RECENT_MS
        self.mirror.untold.update(
            minute
            for minute, counts in self.mirror.counts.items()
            if minute >= since or any(counts[place] for place in LIVE_PLACES)
        )

    async def tick(self, in_flight: Mapping[int, int]) -> None:
        """Tell what has changed since the last tick; `in_flight`: emitted and not acked, by window. Raises LogBrokenError."""
        moved = {m for m in self.in_flight.keys() | in_flight.keys() if self.in_flight.get(m) != in_flight.get(m)}
        self.mirror.untold.update(moved)
        self.in_flight = dict(in_flight)
        await self._tell()
        if self.ticks % DROP_TICKS == 0:
            await self._drop()
        self.ticks += 1

    async def _tell(self) -> None:
        """The newest minutes first wanted are those about now; a crowd of others follows over the next seconds."""
        now = self.clock.now_ms()
        minutes = sorted(self.mirror.untold, key=lambda minute: abs(minute - now))[:WINDOWS_SLICE]
        if not minutes:
            return
        self.mirror.untold.difference_update(minutes)
        await self.log.append([Record(self._key(minute), self._value(minute, now)) for minute in minutes])

    async def _drop(self) -> None:
        """What is older than 90 days is forgotten, here and in the topic."""
        gone = self.mirror.drop_windows(self.clock.now_ms() - KEPT_MS)
        if gone:
            self.mirror.untold.difference_update(gone)
            await self.log.append([Record(self._key(minute), None) for minute in gone])

    def _key(self, minute: int) -> bytes:
        return window_key(self.partition, minute).encode()

    def _value(self, minute: int, now: int) -> bytes:
        counts = self.mirror.counts.get(minute, NOTHING)
        record = window_record(
            self.partition, minute, counts, self.in_flight.get(minute, 0), epoch=self.epoch, now_ms=now
        )
        return encode(record)
