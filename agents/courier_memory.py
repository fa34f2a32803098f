"""A courier's memory: what its outcomes partition says, loaded up to its own claim (rule 9)."""

from collections.abc import Awaitable, Callable

from agents.ports import Log, Memory, Record, Stored
from schemas.outcomes import CourierClaim, DoneBefore, EpochSeen, OutcomeRecord, Started, Unknown, outcome_key
from schemas.wire import UnreadableError, encode, read_outcome

CLAIM_KEY = b"!claim"
EPOCH_KEY = "!epoch/"
DONE_KEY = b"!done"
MEMORY_MS = 20 * 60_000
"""Longer than the 15 min after which an owner emits again."""

_PERHAPS = "started"
Remembered = tuple[str, OutcomeRecord, bytes]


class MemoryAheadError(Exception):
    """The local memory holds more than the log has: it is of another log."""


def is_claim(stored: Stored) -> bool:
    """Whether a record of an outcomes partition is a courier's claim."""
    return stored.key == CLAIM_KEY


def claim_record(courier: str) -> Record:
    """What a courier writes first."""
    return Record(CLAIM_KEY, encode(CourierClaim(courier=courier)))


def epoch_record(claim: int, partition: int, epoch: int) -> Record:
    """What is durable before the source record of a fence may be done (rule 7, `fence_memory`)."""
    return Record(f"{EPOCH_KEY}{partition}".encode(), encode(EpochSeen(claim=claim, partition=partition, epoch=epoch)))


def done_record(done: DoneBefore) -> Record:
    """What is written with outcomes, so that a group's committed offset that is lost costs nothing (rule 1)."""
    return Record(DONE_KEY, encode(done))


def perhaps_begun(note: Started) -> OutcomeRecord:
    """A `started` note as the memory keeps it, in the place of the outcome that is not known yet."""
    return OutcomeRecord(
        claim=note.claim,
        key=note.key,
        birth=note.birth,
        turn=note.turn,
        due_at=note.due_at,
        started_at=note.at,
        finished_at=note.at,
        result=Unknown(reason=_PERHAPS),
    )


def is_perhaps(record: OutcomeRecord) -> bool:
    """Whether this stands for a `started` note: begun perhaps, with no outcome."""
    return type(record.result) is Unknown and record.result.reason == _PERHAPS


class MemoryLoader:
    """Reads an outcomes partition into a memory; afterwards `repair` has the keys whose newest record is void."""

    def __init__(
        self,
        memory: Memory,
        is_void: Callable[[int, int], bool],
        unreadable: Callable[[Stored, Exception], Awaitable[None]],
    ) -> None:
        self.memory = memory
        self.repair: set[str] = set()
        self._is_void = is_void
        self._unreadable = unreadable
        self._valid: dict[str, Remembered] = {}

    async def load(self, log: Log, until: int, now_ms: int) -> None:
        """Take in [memory.applied, until). Raises MemoryAheadError, wire.NewerRecordError, LogBrokenError."""
        if self.memory.applied > until:
            raise MemoryAheadError(
                f"the local memory of outcomes holds offsets up to {self.memory.applied} and the log ends at {until}: "
                "the topic was made anew; delete the memory's folder and start again"
            )
        async for found in log.read(self.memory.applied, until):
            for stored in found:
                if _is_kept(stored, now_ms):
                    await self._take(stored)
            self.memory.apply(self._valid.values(), found[-1].offset + 1)
            self._valid.clear()
        self.memory.apply((), until)

    async def _take(self, stored: Stored) -> None:
        try:
            if stored.value is None:
                return
            record = read_outcome(stored.value)
        except UnreadableError as error:
            await self._unreadable(stored, error)
            return
        if isinstance(record, CourierClaim):
            self.memory.claim = max(self.memory.claim, stored.offset)
        elif isinstance(record, DoneBefore):
            self.memory.done_before = record
        elif isinstance(record, EpochSeen):
            if self._is_void(record.claim, self.memory.claim):
                self.repair.add(f"{EPOCH_KEY}{record.partition}")
            else:
                known = self.memory.epochs.get(record.partition, -1)
                self.memory.epochs[record.partition] = max(known, record.epoch)
        else:
            self._remember(record, stored.value)

    def _remember(self, record: OutcomeRecord | Started, value: bytes) -> None:
        key = outcome_key(record.key, record.birth, record.turn)
        if self._is_void(record.claim, self.memory.claim):
            self.repair.add(key)
            return
        # compaction may have taken the claim itself, what was written under it tells of it
        self.memory.claim = max(self.memory.claim, record.claim)
        self.repair.discard(key)
        if isinstance(record, Started):
            record = perhaps_begun(record)
            value = encode(record)
        self._valid[key] = (key, record, value)


def _is_kept(stored: Stored, now_ms: int) -> bool:
    """Claims and epochs count at any age, outcomes as long as a courier remembers."""
    return stored.at_ms > now_ms - MEMORY_MS or (stored.key is not None and stored.key.startswith(b"!"))


def started_note(claim: int, record: OutcomeRecord) -> Started:
    """The `started` note that a memory's placeholder stands for, under another claim."""
    return Started(
        claim=claim, key=record.key, birth=record.birth, turn=record.turn, due_at=record.due_at, at=record.finished_at
    )
