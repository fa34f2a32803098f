"""Tells what is in each due minute of a partition, on `windows`: what has changed, each second, a bounded share at once."""

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from agents.ports import Clock, Log, Mirror, OwnerWatch, Record
from schemas.times import EPOCH, MINUTE_MS, at
from schemas.window_records import OwnerRecord, owner_key, pending_by_horizon, window_key, window_record
from schemas.windows import LIVE_PLACES, NOTHING
from schemas.wire import encode

WINDOWS_SLICE = 1_000
KEPT_MS = 90 * 24 * 60 * MINUTE_MS
DROP_TICKS = 3_600
RECENT_MS = 2 * 24 * 60 * MINUTE_MS
"""Windows that a former owner may have changed without telling: those younger, and those with something still to do."""


OWNER_TICKS = 5
"""How an owner is, it tells when that has changed, and after so many ticks all the same: silence means something."""


class Working(Struct, frozen=True, kw_only=True):
    """What an owner has under way: emitted and not acked by window and by channel, due without a place, commands.

    `held`: rows that are being written. `paused`: due and held back, by the flow or `channel:<name>` that is paused.
    """

    windows: Mapping[int, int] = {}
    in_flight: Mapping[str, int] = {}
    waiting: Mapping[str, int] = {}
    paused: Mapping[str, int] = {}
    commands: int = 0
    held: int = 0


class WindowTeller:
    """Publishes windows; what it says of one is what the mirror held at that moment, so the newest record is exact."""

    def __init__(self, partition: int, owner: str, mirror: Mirror, log: Log, clock: Clock, watch: OwnerWatch) -> None:
        """Tells nothing before `begin`."""
        self.watch = watch
        self.partition, self.owner, self.mirror, self.log, self.clock = partition, owner, mirror, log, clock
        self.epoch = -1
        self.since_ms = 0
        self.in_flight: Mapping[int, int] = {}
        self.told: Counter[str] = Counter()
        self.ticks = 0
        self.status = OwnerRecord(partition=partition, owner=owner, epoch=-1, since=EPOCH, at=EPOCH)

    def begin(self, epoch: int) -> None:
        """A new owner tells again what a former one may have left untold."""
        self.epoch = epoch
        self.since_ms = self.clock.now_ms()
        since = self.since_ms - RECENT_MS
        self.mirror.untold.update(
            minute
            for minute, counts in self.mirror.counts.items()
            if minute >= since or any(counts[place] for place in LIVE_PLACES)
        )

    def decided(self, kind: str, channel: str, count: int) -> None:
        """So many events of a kind more."""
        self.told[f"{kind}/{channel}" if channel else kind] += count

    async def tick(self, working: Working) -> None:
        """Tell what has changed since the last tick, and every few ticks how the owner is. Raises LogBrokenError."""
        before, now = self.in_flight, working.windows
        self.mirror.untold.update(m for m in before.keys() | now.keys() if before.get(m) != now.get(m))
        self.in_flight = dict(now)
        await self._tell()
        status = self._status(working)
        self.watch.owner(status)
        if self.ticks % OWNER_TICKS == 0 or replace(status, at=self.status.at) != self.status:
            self.status = status
            await self.log.append([Record(owner_key(self.partition).encode(), encode(status))])
        if self.ticks % DROP_TICKS == 0:
            await self._drop()
        self.ticks += 1

    async def _tell(self) -> None:
        """Those about now first; a crowd of others follows over the next seconds."""
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

    def _status(self, working: Working) -> OwnerRecord:
        now = self.clock.now_ms()
        return OwnerRecord(
            partition=self.partition,
            owner=self.owner,
            epoch=self.epoch,
            since=at(self.since_ms),
            at=at(now),
            rows=self.mirror.rows(),
            pending=pending_by_horizon(self.mirror.counts, now),
            in_flight=dict(working.in_flight),
            waiting=dict(working.waiting),
            paused=dict(working.paused),
            commands=working.commands,
            held=working.held,
            told=dict(self.told),
        )
