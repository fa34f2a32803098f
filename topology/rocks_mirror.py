"""The disk's copy of one timetable partition, in RocksDB: rows by id and by due time, counts, and the log position."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct as Packed

import msgspec
from rocksdict import Rdict, ReadOptions, WriteBatch, WriteOptions

from agents.ports import Change, Due, Loaded
from schemas.lifecycle import LIVE
from schemas.placed import Placed
from schemas.rows import Row
from schemas.times import ms_of
from schemas.windows import NOTHING, Counts, added, count_changes
from schemas.wire import read_placed, read_timetable
from topology.disk import broken, close_database, compact_by_itself, open_database, wipe_directory

COUNT, DUE, FORGET, META, ROW = b"c", b"d", b"f", b"m", b"r"
FORMAT = 2
UNLOGGED_AT_LEAST = 10_000
"""Offsets to catch up with at which it pays to do without RocksDB's own log."""

_ms = Packed(">Q")
_target = Packed(">H")
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

    def load(self, rows: Iterable[Loaded], applied: int) -> None:
        """As apply, for rows that are only read; what they replace is looked up for all at once."""
        found = list(rows)
        olds = self._placed([loaded.id for loaded in found])
        self._apply(((n.id, old, n.row, n.value) for n, old in zip(found, olds, strict=True)), applied)

    def _placed(self, ids: list[str]) -> list[Placed | None]:
        if not ids:
            return []
        try:
            values = self._db.get([ROW + message_id.encode() for message_id in ids])
        except Exception as error:
            raise broken(self._path, error) from error
        return [None if value is None else _placed(value) for value in values]

    def apply(self, changes: Iterable[Change], applied: int) -> None:
        """Take rows in, with counts, `applied`, `epoch`, `commands`, `acks`, `unsaid` and `voids`, in one batch."""
        self._apply(changes, applied)

    def _apply(
        self, changes: Iterable[tuple[str, Row | Placed | None, Row | Placed | None, bytes | None]], applied: int
    ) -> None:
        batch = WriteBatch(raw_mode=True)
        moved: dict[tuple[int, int], int] = {}
        indexed: list[bytes] = []
        newest: Row | Placed | None = None
        for message_id, old, row, value in changes:
            key = message_id.encode()
            if row is not None:
                batch[ROW + key] = value
                newest = row
            else:
                del batch[ROW + key]
            if old is None or row is None:
                self._rows += (row is not None) - (old is not None)
            indexed += _index(batch, key, old, row)
            for minute, place, by in count_changes(old, row):
                moved[minute, place] = moved.get((minute, place), 0) + by
        if newest is not None:
            self.seen_ms = max(self.seen_ms, ms_of(newest.updated_at))
        self._lower_floors(indexed)
        touched = self._count(moved)
        self.untold |= touched
        for minute in touched:
            batch[COUNT + _ms.pack(minute)] = _counts.pack(*self.counts[minute])
        self.applied = applied
        batch[META] = _encode_meta(self.meta())
        self._write(batch)

    def _lower_floors(self, indexed: list[bytes]) -> None:
        """Scans begin at these: below them there are only deleted entries, which cost time to pass."""
        self._due_floor = min([self._due_floor, *indexed])
        self._forget_floor = min([self._forget_floor, *(key for key in indexed if key > FORGET)])

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
            start = max(start, _due_key(after.due_ms, after.id.encode(), after.target) + b"\0")
        keys = self._keys(start, DUE + _ms.pack(until_ms + 1), limit)
        if after is None and limit > 0:
            self._due_floor = keys[0] if keys else max(self._due_floor, DUE + _ms.pack(until_ms + 1))
        return [_due(key) for key in keys]

    def to_forget(self, now_ms: int, limit: int) -> list[str]:
        """Ids of finished messages whose `forget_at` has come, oldest first."""
        end = FORGET + _ms.pack(now_ms + 1)
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
            del batch[COUNT + _ms.pack(minute)]
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
        """At most `limit` keys in [start, end)."""
        found: list[bytes] = []
        if limit <= 0 or start >= end:
            return found
        bounded = ReadOptions()
        bounded.set_iterate_upper_bound(end)
        try:
            for key in self._db.keys(from_key=start, read_opt=bounded):
                found.append(key)
                if len(found) == limit:
                    break
        except Exception as error:
            raise broken(self._path, error) from error
        return found

    def _stored_counts(self) -> Iterator[tuple[int, Counts]]:
        bounded = ReadOptions()
        bounded.set_iterate_upper_bound(DUE)
        for key, value in self._db.items(from_key=COUNT, read_opt=bounded):
            yield _ms.unpack_from(key, 1)[0], _counts.unpack(value)


def _row(value: bytes) -> Row:
    row = read_timetable(value)
    assert isinstance(row, Row), "only rows are kept by id"
    return row


def _placed(value: bytes) -> Placed:
    row = read_placed(value)
    assert isinstance(row, Placed), "only rows are kept by id"
    return row


def _index(batch: WriteBatch, encoded_id: bytes, old: Row | Placed | None, row: Row | Placed | None) -> list[bytes]:
    """Puts a row where it is found by time, takes it from where its former was; the keys put."""
    keys = [] if row is None else _index_keys(row, encoded_id)
    for key in keys:
        batch[key] = b""
    if old is not None:
        for key in _index_keys(old, encoded_id):
            if key not in keys:
                del batch[key]
    return keys


def _index_keys(row: Row | Placed, encoded_id: bytes) -> list[bytes]:
    """Where a row is found by time: one key for each live delivery, one for a forgetting to come."""
    keys = [_due_key(ms_of(d.due_at), encoded_id, d.target) for d in row.deliveries if d.state in LIVE]
    if row.forget_at is not None:
        keys.append(FORGET + _ms.pack(ms_of(row.forget_at)) + encoded_id)
    return keys


def _due_key(due_ms: int, encoded_id: bytes, target: int) -> bytes:
    """Ids are printable, so the zero ends them and keys sort as (due, id, target)."""
    return DUE + _ms.pack(max(due_ms, 0)) + encoded_id + b"\0" + _target.pack(target)


def _due(key: bytes) -> Due:
    return Due(_ms.unpack_from(key, 1)[0], key[9:-3].decode(), _target.unpack_from(key, len(key) - 2)[0])
