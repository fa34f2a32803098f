"""How a partition changes hands: claim, fence, load, repair (rule 6). Acks and commands are then read from the log."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from agents.claimed_log import ClaimedLog
from agents.load_order import LoadOrder
from agents.ports import Change, Clock, Loaded, Log, Mirror, OwnerWatch, Record, Seat, Stored
from schemas.due import Fence
from schemas.placed import Placed
from schemas.rows import CLAIM_KEY, PROGRESS_KEY, Claim, Progress
from schemas.times import CLOCK_SKEW_MS, at
from schemas.wire import encode, read_placed_all

LOAD_SLICE = 2_000
EPOCH_HEADER = "epoch"


class Taken(Struct):
    """What a new owner starts from."""

    epoch: int
    horizon_ms: int
    timetable: ClaimedLog


class Loader:
    """Feeds the mirror from the timetable: rows of an older epoch after a newer claim are void (rule 7)."""

    def __init__(self, mirror: Mirror) -> None:
        """Goes on from what the mirror holds."""
        self.mirror = mirror
        self.zombies = 0

    def feed(self, records: list[Stored]) -> None:
        """Take in a slice; the last valid record of an id wins."""
        rows: dict[str, Loaded] = {}
        keyed = [record for record in records if record.key is not None]
        values = iter(read_placed_all([record.value for record in keyed if record.value is not None]))
        for record in keyed:
            self._one(record, None if record.value is None else next(values), rows)
        if records:
            self.mirror.load(rows.values(), records[-1].offset + 1)

    def _one(self, record: Stored, value: Placed | Claim | Progress | None, rows: dict[str, Loaded]) -> None:
        assert record.key is not None
        key = record.key.decode()
        match value:
            case Claim():
                self.mirror.epoch = max(self.mirror.epoch, record.offset)
            case Progress():
                self._progress(value)
            case _ if key in (CLAIM_KEY, PROGRESS_KEY):
                pass
            case Placed() | None if self.is_void(epoch_of(record, value)):
                self.zombies += 1
                self.mirror.voids.add(key)
            case Placed() | None:
                self.mirror.voids.discard(key)
                rows[key] = Loaded(key, value, record.value)
            case _:
                assert_never(value)

    def is_void(self, epoch: int) -> bool:
        """Whether a newer owner has claimed before this landed."""
        return epoch < self.mirror.epoch

    def _progress(self, progress: Progress) -> None:
        if not self.is_void(progress.epoch):
            self.mirror.commands = max(self.mirror.commands, progress.commands)
            self.mirror.acks = max(self.mirror.acks, progress.acks)
            self.mirror.unsaid = progress.unsaid


async def take_over(
    seat: Seat, partition: int, owner: str, mirror: Mirror, clock: Clock, watch: OwnerWatch, order: LoadOrder
) -> Taken:
    """Claim, fence, load up to the own claim, repair. Raises LostClaimError, LogBrokenError, NewerRecordError."""
    timetable = ClaimedLog(seat.timetable, is_claim)
    epoch = await timetable.claim(Record(CLAIM_KEY.encode(), encode(Claim(owner=owner, at=at(clock.now_ms())))))
    await fence(seat.due, partition, epoch)
    horizon_ms = clock.now_ms() + CLOCK_SKEW_MS  # a former owner's clock may have been ahead by this
    loader = Loader(mirror)
    with order.loading(partition, clock.now_ms()):
        async for records in seat.timetable.read(mirror.applied, epoch + 1):
            for n in range(0, len(records), LOAD_SLICE):
                await order.wait(partition, clock)
                loader.feed(records[n : n + LOAD_SLICE])
                watch.loading(partition, mirror.applied, epoch + 1)
                await asyncio.sleep(0)
    mirror.epoch = epoch
    mirror.apply((), max(mirror.applied, epoch + 1))
    if loader.zombies:
        watch.zombie_rows(loader.zombies)
    await repair(timetable, mirror, epoch)
    return Taken(epoch, horizon_ms, timetable)


async def fence(due: Mapping[str, Sequence[Log]], partition: int, epoch: int) -> None:
    """A fence in each partition of each due topic: what a former owner emits after it is void (`fence`)."""
    record = Record(b"p%d" % partition, b"[" + encode(Fence(partition=partition, epoch=epoch)) + b"]")
    await asyncio.gather(*(log.append([record]) for logs in due.values() for log in logs))


async def repair(timetable: ClaimedLog, mirror: Mirror, epoch: int) -> None:
    """Write the valid row over a void one that is the newest of its key, before compaction chooses (`repair`)."""
    while mirror.voids:
        ids = sorted(mirror.voids)[:LOAD_SLICE]
        changes = [valid_row(mirror, message_id, epoch) for message_id in ids]
        await timetable.append([row_record(c, epoch) for c in changes])
        mirror.voids.difference_update(ids)
        mirror.voids.update(key for key in timetable.take_void() if key not in (CLAIM_KEY, PROGRESS_KEY))
        mirror.apply(changes, timetable.next)


def valid_row(mirror: Mirror, message_id: str, epoch: int) -> Change:
    """The row that the mirror holds, in this epoch, to be written over a void one."""
    row = mirror.get(message_id)
    if row is None:
        return Change(message_id, None, None, None)
    valid = replace(row, epoch=epoch)
    return Change(message_id, row, valid, encode(valid))


def row_record(change: Change, epoch: int) -> Record:
    """A row as a record; a tombstone has its epoch in a header, so that a former owner's is void too."""
    headers = () if change.value is not None else ((EPOCH_HEADER, b"%d" % epoch),)
    return Record(change.id.encode(), change.value, headers)


def epoch_of(record: Stored, row: Placed | None) -> int:
    """The epoch of a row or tombstone; what names none (a person's tombstone) is of every epoch."""
    if row is not None:
        return row.epoch
    return next((int(v) for k, v in record.headers if k == EPOCH_HEADER), record.offset)


def is_claim(record: Stored) -> bool:
    """Whether a timetable record is somebody's claim."""
    return record.key == CLAIM_KEY.encode()
