"""The disk's copy of one timetable partition, in RocksDB: rows by id and by due time, counts, and the log position."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct as Packed

import msgspec
from rocksdict import Rdict, ReadOptions, WriteBatch, WriteOptions

from agents.ports import Change, Due, Loaded
from schemas.placed import Placed
from schemas.rows import Row
from schemas.times import ms_of
from schemas.windows import NOTHING, Counts, added
from schemas.wire import read_placed, read_timetable
from topology.disk import broken, close_database, compact_by_itself, keys_between, open_database, wipe_directory
from topology.met_ids import MetIds
from topology.mirror_batch import COUNT, DUE, FORGET, ROW, MirrorBatch, due_key, due_of, ms_packed
from topology.trusted_copy import META

FORMAT = 2
UNLOGGED_AT_LEAST = 10_000
"""Offsets to catch up with at which it pays to do without RocksDB's own log."""

_counts = Packed(f">{len(NOTHING)}I")


class Meta(msgspec.Struct, omit_defaults=True):
    """What a mirror knows about itself; the log position is as of the same write batch as its rows."""

    cluster_id: str
    topic_id: str
    applied: int
    epoch: int = -1
    commands: int = 0
    acks: int = 0
    rows: int = 0
    seen_ms: int = 0
    voids: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()
    format: int = FORMAT


_encode_meta = msgspec.json.Encoder().encode
decode_meta = msgspec.json.Decoder(Meta).decode


class RocksMirror:
    """Implements agents.ports.Mirror. Not for two threads at once. Raises DiskError when the disk fails it."""

    def __init__(self, path: Path, db: Rdict, meta: Meta, log_end: int = 0) -> None:
        self._loaded_at = log_end
        self._loading = meta.applied + UNLOGGED_AT_LEAST < log_end
        self._unlogged = WriteOptions()
        self._unlogged.disable_wal = True
        self._path = path
        self._db = db
        self._cluster_id = meta.cluster_id
        self._topic_id = meta.topic_id
        self._take(meta)
        self.counts: dict[int, Counts] = dict(self._stored_counts())
        if self._loading:
            compact_by_itself(db, on=False)

    def _take(self, meta: Meta) -> None:
        self.applied = meta.applied
        self.epoch = meta.epoch
        self.commands = meta.commands
        self.acks = meta.acks
        self.unsaid = meta.unsaid
        self.seen_ms = meta.seen_ms
        self._voids = set(meta.voids)
        self.untold: set[int] = set()
        self._rows = meta.rows
        self._met = None if meta.applied or meta.rows else MetIds(self._loaded_at)
        self._due_floor = DUE
        self._forget_floor = FORGET

    @property
    def voids(self) -> set[str]:
        """Ids whose newest record in the log is void; may be changed, kept by the next `apply`."""
        return self._voids

    def rows(self) -> int:
        """How many rows it holds, stubs too."""
        return self._rows

    def get(self, message_id: str) -> Row | None:
        """The row, or None."""
        try:
            value = self._db.get(ROW + message_id.encode())
        except Exception as error:
            raise broken(self._path, error) from error
        return None if value is None else _row(value)

    def get_all(self, message_ids: list[str]) -> dict[str, Row]:
        """The rows that there are of these, by id; one look for all takes half the time of a look for each."""
        return {i: _row(value) for i, value in self._values(message_ids)}

    def _values(self, message_ids: list[str]) -> Iterator[tuple[str, bytes]]:
        try:
            values = self._db.get([ROW + message_id.encode() for message_id in message_ids])
        except Exception as error:
            raise broken(self._path, error) from error
        return ((i, value) for i, value in zip(message_ids, values, strict=True) if value is not None)

    def load(self, rows: Iterable[Loaded], applied: int) -> None:
        """As apply, for rows that are only read; what they replace is looked up for all at once."""
        found, taken = list(rows), MirrorBatch()
        olds = self._replaced(found)
        for new in found:
            taken.put(new.id, olds.get(new.id), new.row, new.value)
        self._take_in(taken, applied)

    def _replaced(self, rows: list[Loaded]) -> dict[str, Placed]:
        """What is here already of these. A load into an empty mirror need not look for what it has not met."""
        met = self._met
        ids = [row.id for row in rows] if met is None else [row.id for row in rows if met.meet(row.id)]
        return {i: _placed(value) for i, value in self._values(ids)} if ids else {}

    def apply(self, changes: Iterable[Change], applied: int) -> None:
        """Take rows in, with counts, `applied`, `epoch`, `commands`, `acks`, `unsaid` and `voids`, in one batch."""
        self._met = None
        taken = MirrorBatch()
        for change in changes:
            taken.put(change.id, change.old, change.row, change.value)
        self._take_in(taken, applied)

    def _take_in(self, taken: MirrorBatch, applied: int) -> None:
        self._rows += taken.rows
        if taken.newest is not None:
            self.seen_ms = max(self.seen_ms, ms_of(taken.newest.updated_at))
        self._lower_floors(taken)
        touched = self._count(taken.moved)
        self.untold |= touched
        for minute in touched:
            taken.batch[COUNT + ms_packed.pack(minute)] = _counts.pack(*self.counts[minute])
        self.applied = applied
        taken.batch[META] = _encode_meta(self.meta())
        self._write(taken.batch)

    def _lower_floors(self, taken: MirrorBatch) -> None:
        """Scans begin at these: below them there are only deleted entries, which cost time to pass."""
        self._due_floor = min([self._due_floor, *taken.due])
        self._forget_floor = min([self._forget_floor, *taken.forget])

    def _count(self, moved: dict[tuple[int, int], int]) -> set[int]:
        """Takes the moves into `counts`; which minutes they touched."""
        counts = self.counts
        for (minute, place), by in moved.items():
            if by:
                counts[minute] = added(counts.get(minute, NOTHING), place, by)
        return {minute for (minute, _), by in moved.items() if by}

    def due_from(self, after: Due | None, until_ms: int, limit: int) -> list[Due]:
        """Live deliveries in order of (due, id, target), after `after`, due at or before `until_ms`."""
        start = self._due_floor
        if after is not None:
            start = max(start, due_key(after.due_ms, after.id.encode(), after.target) + b"\0")
        keys = self._keys(start, DUE + ms_packed.pack(until_ms + 1), limit)
        if after is None and limit > 0:
            self._due_floor = keys[0] if keys else max(self._due_floor, DUE + ms_packed.pack(until_ms + 1))
        return [due_of(key) for key in keys]

    def to_forget(self, now_ms: int, limit: int) -> list[str]:
        """Ids of finished messages whose `forget_at` has come, oldest first."""
        end = FORGET + ms_packed.pack(now_ms + 1)
        keys = self._keys(self._forget_floor, end, limit)
        if limit > 0:
            self._forget_floor = keys[0] if keys else max(self._forget_floor, end)
        return [key[9:].decode() for key in keys]

    def ids(self, start: str, end: str, limit: int) -> list[str]:
        """Ids in [start, end), in order."""
        return [key[1:].decode() for key in self._keys(ROW + start.encode(), ROW + end.encode(), limit)]

    def drop_windows(self, before_ms: int) -> list[int]:
        """Forget the counts of windows that began before; which there were."""
        old = [minute for minute in self.counts if minute < before_ms]
        batch = WriteBatch(raw_mode=True)
        for minute in old:
            del self.counts[minute]
            del batch[COUNT + ms_packed.pack(minute)]
        self._write(batch)
        return old

    def wipe(self) -> None:
        """Forget everything: it is to be rebuilt from the log."""
        close_database(self._db)
        wipe_directory(self._path)
        self._db = open_database(self._path)
        self.counts.clear()
        self._take(Meta(self._cluster_id, self._topic_id, 0))
        self._loading = self._loaded_at > UNLOGGED_AT_LEAST
        if self._loading:
            compact_by_itself(self._db, on=False)

    def close(self) -> None:
        """Release the files; twice does nothing."""
        close_database(self._db)

    def meta(self) -> Meta:
        """What it knows about itself now."""
        return Meta(
            cluster_id=self._cluster_id,
            topic_id=self._topic_id,
            applied=self.applied,
            epoch=self.epoch,
            commands=self.commands,
            acks=self.acks,
            rows=self._rows,
            seen_ms=self.seen_ms,
            voids=tuple(sorted(self._voids)),
            unsaid=self.unsaid,
        )

    def _write(self, batch: WriteBatch) -> None:
        """While it loads without RocksDB's own log: what a crash takes is read from Kafka again, in whole batches."""
        try:
            self._db.write(batch, self._unlogged if self._loading else None)
            if self._loading and self.applied >= self._loaded_at:
                self._db.flush()  # before the first logged write: its replay must find all that was before
                self._loading = False
                compact_by_itself(self._db, on=True)
        except Exception as error:
            raise broken(self._path, error) from error

    def _keys(self, start: bytes, end: bytes, limit: int) -> list[bytes]:
        return keys_between(self._db, self._path, start, end, limit)

    def _stored_counts(self) -> Iterator[tuple[int, Counts]]:
        bounded = ReadOptions()
        bounded.set_iterate_upper_bound(DUE)
        for key, value in self._db.items(from_key=COUNT, read_opt=bounded):
            yield ms_packed.unpack_from(key, 1)[0], _counts.unpack(value)


def _row(value: bytes) -> Row:
    row = read_timetable(value)
    assert isinstance(row, Row), "only rows are kept by id"
    return row


def _placed(value: bytes) -> Placed:
    row = read_placed(value)
    assert isinstance(row, Placed), "only rows are kept by id"
    return row
