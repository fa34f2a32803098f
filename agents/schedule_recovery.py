"""How the schedules of a partition change hands with its timetable: claim, load, repair (rules 6 and 7).

The epoch is that of the timetable: one owner for both logs. Its claim here only says from where on rows of older
epochs are void; whose claim is the newest is told by the epoch it names, not by its place.
"""

from msgspec.structs import replace

from agents.claimed_log import ClaimedLog
from agents.ports import Clock, Log, Record, ScheduleChange, ScheduleTable, Stored
from agents.recovery import EPOCH_HEADER
from schemas.rows import CLAIM_KEY
from schemas.schedule_rows import ScheduleClaim, ScheduleRow
from schemas.times import at
from schemas.wire import encode, read_schedules

LOAD_SLICE = 2_000
REPAIR_SLICE = 200


async def take_schedules(log: Log, table: ScheduleTable, epoch: int, owner: str, clock: Clock) -> ClaimedLog:
    """The claimed log of schedules, its table loaded and repaired. Raises as take_over."""
    claimed = ClaimedLog(log, lambda stored: is_newer_claim(stored, epoch))
    claim = ScheduleClaim(epoch=epoch, owner=owner, at=at(clock.now_ms()))
    landed = await claimed.claim(Record(CLAIM_KEY.encode(), encode(claim)))
    loader = ScheduleLoader(table)
    async for records in log.read(table.applied, landed + 1):
        loader.feed(records)
    table.epoch = epoch
    table.apply((), max(table.applied, landed + 1))
    while table.voids:
        ids = sorted(table.voids)[:REPAIR_SLICE]
        changes = [valid_schedule(table, schedule_id, epoch) for schedule_id in ids]
        await claimed.append([schedule_record(change, epoch) for change in changes])
        table.voids.difference_update(ids)
        table.voids.update(key for key in claimed.take_void() if key != CLAIM_KEY)
        table.apply(changes, claimed.next)
    return claimed


class ScheduleLoader:
    """Feeds the table from the log: rows of an older epoch after a newer claim are void (rule 7)."""

    def __init__(self, table: ScheduleTable) -> None:
        """Goes on from what the table holds."""
        self.table = table

    def feed(self, records: list[Stored]) -> None:
        """Take in a slice; the last valid record of an id wins."""
        changes: dict[str, ScheduleChange] = {}
        for record in records:
            if record.key is not None:
                self._one(record.key.decode(), record, changes)
        if records:
            self.table.apply(changes.values(), records[-1].offset + 1)

    def _one(self, key: str, record: Stored, changes: dict[str, ScheduleChange]) -> None:
        value = None if record.value is None else read_schedules(record.value)
        if isinstance(value, ScheduleClaim):
            self.table.epoch = max(self.table.epoch, value.epoch)
        elif key != CLAIM_KEY and self.is_void(epoch_of(record, value)):
            self.table.voids.add(key)
        elif key != CLAIM_KEY:
            self.table.voids.discard(key)
            changes[key] = ScheduleChange(key, value, record.value)

    def is_void(self, epoch: int) -> bool:
        """Whether a newer owner has claimed before this landed."""
        return epoch < self.table.epoch


def is_newer_claim(stored: Stored, epoch: int) -> bool:
    """Whether a foreign record is the claim of a newer owner; a late one of a former owner is void."""
    if stored.key != CLAIM_KEY.encode() or stored.value is None:
        return False
    claim = read_schedules(stored.value)
    return isinstance(claim, ScheduleClaim) and claim.epoch > epoch


def epoch_of(record: Stored, row: ScheduleRow | None) -> int:
    """The epoch of a row or tombstone; what names none (a person's tombstone) is of every epoch."""
    if row is not None:
        return row.epoch
    return next((int(v) for k, v in record.headers if k == EPOCH_HEADER), 2**62)


def valid_schedule(table: ScheduleTable, schedule_id: str, epoch: int) -> ScheduleChange:
    """The row that the table holds, in this epoch, to be written over a void one."""
    row = table.get(schedule_id)
    if row is None:
        return ScheduleChange(schedule_id, None, None)
    valid = replace(row, epoch=epoch)
    return ScheduleChange(schedule_id, valid, encode(valid))


def schedule_record(change: ScheduleChange, epoch: int) -> Record:
    """A row as a record; a tombstone has its epoch in a header."""
    headers = () if change.value is not None else ((EPOCH_HEADER, b"%d" % epoch),)
    return Record(change.id.encode(), change.value, headers)
