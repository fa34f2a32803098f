"""The disk's copy of one partition of `schedules`, in RocksDB: rows by id and by when there is something to do."""

from collections.abc import Callable, Iterable
from pathlib import Path
from struct import Struct as Packed

import msgspec
from rocksdict import Rdict, WriteBatch

from agents.ports import ScheduleChange
from schemas.schedule_rows import ScheduleRow, tend_ms
from schemas.times import ms_of
from schemas.wire import read_schedules
from topology.disk import broken, close_database, keys_between
from topology.trusted_copy import META, astray, foreign, known, open_trusted, overslept

ROW, TEND = b"r", b"t"
FORMAT = 1
_ms = Packed(">Q")


class Meta(msgspec.Struct, omit_defaults=True):
    """What a table knows about itself; the log position is as of the same write batch as its rows."""

    cluster_id: str
    topic_id: str
    applied: int
    epoch: int = -1
    seen_ms: int = 0
    voids: tuple[str, ...] = ()
    format: int = FORMAT


_encode_meta = msgspec.json.Encoder().encode
_decode_meta = msgspec.json.Decoder(Meta).decode


class RocksSchedules:
    """Implements agents.ports.ScheduleTable. Not for two threads at once. Raises DiskError when the disk fails it."""

    def __init__(self, path: Path, db: Rdict, meta: Meta) -> None:
        self._path, self._db = path, db
        self._cluster_id, self._topic_id = meta.cluster_id, meta.topic_id
        self.applied, self.epoch, self.seen_ms = meta.applied, meta.epoch, meta.seen_ms
        self._voids = set(meta.voids)

    @property
    def voids(self) -> set[str]:
        """Ids whose newest record in the log is void; may be changed, kept by the next `apply`."""
        return self._voids

    def get(self, schedule_id: str) -> ScheduleRow | None:
        """The row, or None."""
        try:
            value = self._db.get(ROW + schedule_id.encode())
        except Exception as error:
            raise broken(self._path, error) from error
        return None if value is None else _row(value)

    def apply(self, changes: Iterable[ScheduleChange], applied: int) -> None:
        """Take rows in, with `applied`, `epoch` and `voids`, in one write batch."""
        batch = WriteBatch(raw_mode=True)
        for schedule_id, row, value in changes:
            key = schedule_id.encode()
            old = self.get(schedule_id)
            if old is not None and (before := tend_ms(old)) is not None:
                del batch[TEND + _ms.pack(max(before, 0)) + key]
            if row is None:
                del batch[ROW + key]
                continue
            batch[ROW + key] = value
            self.seen_ms = max(self.seen_ms, ms_of(row.updated_at))
            if (when := tend_ms(row)) is not None:
                batch[TEND + _ms.pack(max(when, 0)) + key] = b""
        self.applied = applied
        batch[META] = _encode_meta(self.meta())
        try:
            self._db.write(batch)
        except Exception as error:
            raise broken(self._path, error) from error

    def to_tend(self, now_ms: int, limit: int) -> list[str]:
        """Ids of schedules with something to do now, the longest overdue first."""
        return [key[9:].decode() for key in self._keys(TEND, TEND + _ms.pack(now_ms + 1), limit)]

    def after(self, schedule_id: str, limit: int) -> list[ScheduleRow]:
        """Rows with a greater id, in order."""
        keys = self._keys(ROW + schedule_id.encode() + b"\0", ROW + b"\xff", limit)
        return [_row(value) for value in self._db.get(keys)] if keys else []

    def close(self) -> None:
        """Release the files; twice does nothing."""
        close_database(self._db)

    def meta(self) -> Meta:
        """What it knows about itself now."""
        return Meta(
            self._cluster_id, self._topic_id, applied=self.applied, epoch=self.epoch, seen_ms=self.seen_ms,
            voids=tuple(sorted(self._voids)),
        )  # fmt: skip

    def _keys(self, start: bytes, end: bytes, limit: int) -> list[bytes]:
        return keys_between(self._db, self._path, start, end, limit)


def _row(value: bytes) -> ScheduleRow:
    row = read_schedules(value)
    assert isinstance(row, ScheduleRow), "only rows are kept by id"
    return row


def open_schedules(
    path: Path,
    *,
    cluster_id: str,
    topic_id: str,
    log_start: int,
    log_end: int,
    now_ms: int,
    max_sleep_ms: int,
    warn: Callable[[str], None],
) -> RocksSchedules:
    """The table at `path`, empty where it cannot be trusted: then `warn` is told why. As topology.mirror.open_mirror."""
    new = Meta(cluster_id, topic_id, applied=0)

    def fault_of(table: RocksSchedules) -> str | None:
        meta = table.meta()
        found = foreign(meta, new) or astray(meta, log_start, log_end)
        return found or (overslept(meta, log_end, now_ms - meta.seen_ms, max_sleep_ms) if meta.seen_ms else None)

    def make(db: Rdict) -> RocksSchedules:
        return RocksSchedules(path, db, known(db, _decode_meta, new))

    return open_trusted(path, "table of schedules", make, fault_of, warn)
