"""Due messages on their way into the due topics, packed: a batch collects while the one before it is written."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from agents.near_windows import Armed, due_body, prefixed
from agents.ports import Clock, Log, Mirror, Record
from schemas.times import rfc3339
from schemas.wire import packs

Place = tuple[str, int]
"""A channel, and the partition of its due topic."""


class DueWriter:
    """Of one timetable partition. What breaks a write is told to `fail`."""

    def __init__(
        self,
        partition: int,
        due: Mapping[str, Sequence[Log]],
        mirror: Mirror,
        clock: Clock,
        landed: Callable[[list[Armed]], None],
        fail: Callable[[Exception], None],
    ) -> None:
        """`landed`: of a batch that is in Kafka."""
        self._partition, self._due, self._mirror, self._clock = partition, due, mirror, clock
        self._landed, self._fail = landed, fail
        self.epoch = -1
        self._outgoing: dict[Place, list[Armed]] = {}
        self._writers: dict[Place, asyncio.Task[None]] = {}

    def send(self, channel: str, armed: Armed) -> None:
        """With the next batch of its place."""
        place = (channel, armed.place)
        self._outgoing.setdefault(place, []).append(armed)
        writer = self._writers.get(place)
        if writer is None or writer.done():
            self._writers[place] = asyncio.create_task(self._write(place))

    def writing(self) -> list[asyncio.Task[None]]:
        """Produces under way."""
        return [w for w in self._writers.values() if not w.done()]

    def cancel(self) -> None:
        """Leave what is under way."""
        for writer in self._writers.values():
            writer.cancel()

    async def _write(self, place: Place) -> None:
        """One batch at a time; what comes in meanwhile is the next batch."""
        log = self._due[place[0]][place[1]]
        try:
            while batch := self._outgoing.pop(place, None):
                await log.append([Record(b"p%d" % self._partition, pack) for pack in packs(self._records(batch))])
                self._landed(batch)
        except Exception as error:  # noqa: BLE001 - raised by whoever waits for the partition
            self._fail(error)

    def _records(self, batch: list[Armed]) -> list[bytes]:
        now = rfc3339(self._clock.now_ms())
        prefix = (
            f'{{"kind":"due","v":1,"partition":{self._partition},"epoch":{self.epoch},"emitted_at":"{now}",'.encode()
        )
        return list(prefixed(prefix, [a.body or self._body(a) for a in batch]))

    def _body(self, armed: Armed) -> bytes:
        row = self._mirror.get(armed.id)
        assert row is not None, f"{armed.id} is armed and has no row"
        return due_body(row, row.deliveries[armed.target])
