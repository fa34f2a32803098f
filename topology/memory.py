"""The disk's copy of one outcomes partition, in RocksDB: a courier's memory, 20 minutes deep."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from struct import Struct as Packed

import msgspec
from rocksdict import Rdict, ReadOptions, WriteBatch

from schemas.outcomes import DoneBefore, OutcomeRecord, Paced
from schemas.times import ms_of
from schemas.wire import read_outcome
from topology.disk import broken, close_database, keys_between
from topology.trusted_copy import META, astray, foreign, known, open_trusted

FINISHED, OUTCOME, PACED = b"f", b"o", b"p"
FORMAT = 1
FORGET_SLICE = 5_000

_ms = Packed(">Q")


class Meta(msgspec.Struct, omit_defaults=True):
    """What a memory knows about itself, as of the same write batch as its outcomes."""

    cluster_id: str
    topic_id: str
    applied: int
    claim: int = -1
    epochs: dict[int, int] = {}
    done_before: DoneBefore | None = None
    format: int = FORMAT


_encode_meta = msgspec.json.Encoder().encode
_decode_meta = msgspec.json.Decoder(Meta).decode
_decode_paced = msgspec.json.Decoder(Paced).decode


class RocksMemory:
    """Implements agents.ports.Memory. Not for two threads at once. Raises DiskError when the disk fails it."""

    def __init__(self, path: Path, db: Rdict, meta: Meta) -> None:
        self._path = path
        self._db = db
        self._cluster_id = meta.cluster_id
        self._topic_id = meta.topic_id
        self.applied = meta.applied
        self.claim = meta.claim
        self.epochs: dict[int, int] = dict(meta.epochs)
        self.done_before = meta.done_before
        self._floor = FINISHED
        self.paces: dict[str, Paced] = self._stored_paces()

    def get(self, key: str) -> OutcomeRecord | None:
        """The recorded outcome of `outcome_key(key, birth, turn)`, or None."""
        return self.get_many((key,))[0]

    def get_many(self, keys: Sequence[str]) -> list[OutcomeRecord | None]:
        """Several at once: 1 to 2 µs for each that is not there."""
        if not keys:
            return []
        try:
            values = self._db.get([OUTCOME + key.encode() for key in keys])
        except Exception as error:
            raise broken(self._path, error) from error
        return [None if value is None else _outcome(value) for value in values]

    def apply(self, outcomes: Iterable[tuple[str, OutcomeRecord, bytes]], applied: int) -> None:
        """Take outcomes in (key, record, its bytes), in one write batch with `applied`, `claim`, `epochs` and `done_before`.

        An outcome is never replaced by one that finished at another time; where it is, forgetting looks at the newest.
        """
        batch = WriteBatch(raw_mode=True)
        for key, record, value in outcomes:
            encoded = key.encode()
            batch[OUTCOME + encoded] = value
            finished = FINISHED + _ms.pack(ms_of(record.finished_at)) + encoded
            batch[finished] = b""
            for paced in record.paced:
                self.paces[paced.flow] = paced
                batch[PACED + paced.flow.encode()] = _encode_meta(paced)
            self._floor = min(self._floor, finished)
        self.applied = applied
        batch[META] = _encode_meta(self.meta())
        self._write(batch)

    def forget(self, before_ms: int) -> int:
        """Drop what finished before; how many were dropped. About 5 µs for each: call it often."""
        end = FINISHED + _ms.pack(max(before_ms, 0))
        dropped = 0
        while keys := self._finished(end):
            dropped += self._forget_slice(keys, before_ms)
        self._floor = max(self._floor, end)
        self._forget_paces(before_ms * 1_000)
        return dropped

    def _stored_paces(self) -> dict[str, Paced]:
        found = ReadOptions()
        found.set_iterate_upper_bound(_after(PACED))
        stored = [_decode_paced(value) for value in self._db.values(from_key=PACED, read_opt=found)]
        return {paced.flow: paced for paced in stored}

    def _forget_paces(self, before_us: int) -> None:
        """A rate that was last used so long ago, burst and all, is as if it had never been used."""
        batch = WriteBatch(raw_mode=True)
        for flow in [p.flow for p in self.paces.values() if max(p.given_us, p.sent_us) < before_us]:
            del self.paces[flow], batch[PACED + flow.encode()]
        self._write(batch)

    def _forget_slice(self, keys: list[bytes], before_ms: int) -> int:
        batch = WriteBatch(raw_mode=True)
        newest = self.get_many([key[9:].decode() for key in keys])
        forgotten: set[bytes] = set()
        for key, record in zip(keys, newest, strict=True):
            del batch[key]
            if record is not None and ms_of(record.finished_at) < before_ms:
                del batch[OUTCOME + key[9:]]
                forgotten.add(key[9:])
        self._write(batch)
        self._floor = keys[-1]
        return len(forgotten)

    def close(self) -> None:
        """Release the files; twice does nothing."""
        close_database(self._db)

    def meta(self) -> Meta:
        """What it knows about itself now."""
        return Meta(
            cluster_id=self._cluster_id,
            topic_id=self._topic_id,
            applied=self.applied,
            claim=self.claim,
            epochs=self.epochs,
            done_before=self.done_before,
        )

    def _write(self, batch: WriteBatch) -> None:
        try:
            self._db.write(batch)
        except Exception as error:
            raise broken(self._path, error) from error

    def _finished(self, end: bytes) -> list[bytes]:
        return keys_between(self._db, self._path, self._floor, end, FORGET_SLICE)


def _after(prefix: bytes) -> bytes:
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _outcome(value: bytes) -> OutcomeRecord:
    record = read_outcome(value)
    assert isinstance(record, OutcomeRecord), "only outcomes are kept by key"
    return record


def open_memory(
    path: Path, *, cluster_id: str, topic_id: str, log_end: int, warn: Callable[[str], None]
) -> RocksMemory:
    """The memory at `path`, empty where it cannot be trusted: then `warn` is told why and `applied` is 0.

    Raises DiskError when not even an empty one can be made.
    """
    new = Meta(cluster_id, topic_id, applied=0)

    def fault_of(memory: RocksMemory) -> str | None:
        return foreign(memory.meta(), new) or astray(memory.meta(), 0, log_end)

    def make(db: Rdict) -> RocksMemory:
        return RocksMemory(path, db, known(db, _decode_meta, new))

    return open_trusted(path, "memory", make, fault_of, warn)
