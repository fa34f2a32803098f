"""Rows on their way into the mirror: one write batch, and what it does to the mirror's indexes and counts."""

from struct import Struct as Packed

from rocksdict import WriteBatch

from agents.ports import Due
from schemas.lifecycle import LIVE
from schemas.placed import Placed
from schemas.rows import Row
from schemas.times import MINUTE_MS, ms_of
from schemas.windows import PLACE, count_changes, lateness_place

COUNT, DUE, FORGET, ROW = b"c", b"d", b"f", b"r"
FIRST_TARGET = b"\0\0\0"
"""The end of a due key of target 0: what `due_key` would put there."""

ms_packed = Packed(">Q")
_target = Packed(">H")
_at = Packed(">cQ")


class MirrorBatch:
    """Takes changes one after another. Ids once each."""

    def __init__(self) -> None:
        """An empty batch."""
        self.batch = WriteBatch(raw_mode=True)
        self.moved: dict[tuple[int, int], int] = {}
        """By how much each (minute, place) of the counts moves."""
        self.due: list[bytes] = []
        self.forget: list[bytes] = []
        """Keys put into the two indexes."""
        self.rows = 0
        self.newest: Row | Placed | None = None

    def put(self, message_id: str, old: Row | Placed | None, row: Row | Placed | None, value: bytes | None) -> None:
        """A row as it is now, or a tombstone (`row` None), and what it replaces."""
        key = message_id.encode()
        if row is None:
            del self.batch[ROW + key]
        else:
            self.batch[ROW + key] = value
            self.newest = row
        if old is None and row is not None and len(row.deliveries) == 1:
            self._put_first(key, row)
        else:
            self._move(key, old, row)

    def _put_first(self, key: bytes, row: Row | Placed) -> None:
        """As `_move`, for most of what is ever put: a new row with one delivery."""
        self.rows += 1
        d, window = row.deliveries[0], row.message.due_at
        due_ms = ms_of(d.due_at)
        if d.state in LIVE and d.target == 0 and due_ms >= 0:
            found = _at.pack(DUE, due_ms) + key + FIRST_TARGET
            self.batch[found] = b""
            self.due.append(found)
            if row.forget_at is not None:
                self._index([_forget_key(row, key)])
        else:
            self._index(_index_keys(row, key))
        minute = (due_ms if d.due_at == window else ms_of(window)) // MINUTE_MS * MINUTE_MS
        self._count(minute, PLACE[d.state], 1)
        if d.late_ms is not None:
            self._count(minute, lateness_place(d.late_ms), 1)

    def _move(self, key: bytes, old: Row | Placed | None, row: Row | Placed | None) -> None:
        self.rows += (row is not None) - (old is not None)
        keys = [] if row is None else _index_keys(row, key)
        self._index(keys)
        for gone in [] if old is None else _index_keys(old, key):
            if gone not in keys:
                del self.batch[gone]
        for minute, place, by in count_changes(old, row):
            self._count(minute, place, by)

    def _index(self, keys: list[bytes]) -> None:
        for key in keys:
            self.batch[key] = b""
            (self.forget if key > FORGET else self.due).append(key)

    def _count(self, minute: int, place: int, by: int) -> None:
        self.moved[minute, place] = self.moved.get((minute, place), 0) + by


def _index_keys(row: Row | Placed, key: bytes) -> list[bytes]:
    """Where a row is found by time: one key for each live delivery, one for a forgetting to come."""
    keys = [due_key(ms_of(d.due_at), key, d.target) for d in row.deliveries if d.state in LIVE]
    return keys if row.forget_at is None else [*keys, _forget_key(row, key)]


def _forget_key(row: Row | Placed, key: bytes) -> bytes:
    assert row.forget_at is not None
    return FORGET + ms_packed.pack(ms_of(row.forget_at)) + key


def due_key(due_ms: int, encoded_id: bytes, target: int) -> bytes:
    """Ids are printable, so the zero ends them and keys sort as (due, id, target)."""
    return DUE + ms_packed.pack(max(due_ms, 0)) + encoded_id + b"\0" + _target.pack(target)


def due_of(key: bytes) -> Due:
    """The delivery that a due key names."""
    return Due(ms_packed.unpack_from(key, 1)[0], key[9:-3].decode(), _target.unpack_from(key, len(key) - 2)[0])
