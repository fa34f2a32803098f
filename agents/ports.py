"""What agents need of the world: small Protocols. Real ones in topology/, in-memory ones in the simulation."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from msgspec import Struct

from schemas.due import DueMessage
from schemas.outcomes import DoneBefore, Outcome, OutcomeRecord, Paced
from schemas.placed import Placed
from schemas.rows import Row
from schemas.schedule_rows import ScheduleRow
from schemas.window_records import OwnerRecord
from schemas.windows import Counts


class Record(Struct, frozen=True, gc=False):
    """What is written: the key and value of one Kafka record; a None value is a tombstone."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Stored(Struct, frozen=True, gc=False):
    """What is read: a record, where it lay, when it was written."""

    offset: int
    key: bytes | None
    value: bytes | None
    at_ms: int
    headers: tuple[tuple[str, bytes], ...] = ()


class Clock(Protocol):
    """The time, and waiting for it. Waits may end early: look again."""

    def now_ms(self) -> int:
        """Unix time in milliseconds, rounded down: what is due is never sent early."""
        ...

    async def sleep_ms(self, ms: float) -> None:
        """Give way for about so long."""
        ...

    async def wait(self, event: asyncio.Event, ms: float) -> None:
        """Until the event is set, or about so long; then it may be set too."""
        ...


class Log(Protocol):
    """One partition of one topic. One writer, one awaited batch at a time."""

    async def append(self, records: Sequence[Record]) -> int:
        """Write in order; the offset where the first landed, once all are acknowledged. Raises LogBrokenError."""
        ...

    def read(self, start: int, end: int) -> AsyncIterator[list[Stored]]:
        """The records in [start, end), in slices; ends when the position has reached `end` (gaps are normal)."""
        ...

    async def end(self) -> int:
        """The offset that the next record will get."""
        ...


class LogBrokenError(Exception):
    """A write may or may not have landed: drop the producer, let go, replay from the source."""


class Change(Struct, frozen=True, gc=False):
    """A row that the timetable now has, or a tombstone (`row` None), with what it replaces."""

    id: str
    old: Row | None
    row: Row | None
    value: bytes | None


class Loaded(Struct, frozen=True, gc=False):
    """The newest valid row of an id in a slice of the log, or a tombstone (`row` None), as it is taken in by a load."""

    id: str
    row: Placed | None
    value: bytes | None


class Due(NamedTuple):
    """A delivery in the windowed table."""

    due_ms: int
    id: str
    target: int


class Mirror(Protocol):
    """The disk's copy of one timetable partition: rows by id and by due time, counts, and the log position it holds."""

    applied: int
    """The next offset to read: all before it is in the mirror."""
    epoch: int
    """The newest claim's offset, -1 before the first."""
    commands: int
    """Progress: commands below are decided and all that follows from them is durable; likewise `acks`."""
    acks: int
    unsaid: tuple[str, ...]
    """As in the newest Progress: what was changed by its owner alone, and whose events may not be told."""
    counts: dict[int, Counts]
    """Exact counts by window (first Unix ms of a due minute): see schemas.windows.Counts."""
    untold: set[int]
    """Windows whose counts have changed since they were told on `windows`; in memory only."""

    def get(self, message_id: str) -> Row | None:
        """The row, or None."""
        ...

    def get_all(self, message_ids: list[str]) -> dict[str, Row]:
        """The rows that there are of these, by id."""
        ...

    def apply(self, changes: Iterable[Change], applied: int) -> None:
        """Take rows in, in one atomic write batch with counts, `applied`, `epoch`, `commands`, `acks` and `unsaid` as set."""
        ...

    def load(self, rows: Iterable[Loaded], applied: int) -> None:
        """As apply, for rows that are only read: what they replace is looked up here. Ids once each."""
        ...

    def due_from(self, after: Due | None, until_ms: int, limit: int) -> list[Due]:
        """Live deliveries in order of (due, id, target), after `after`, due at or before `until_ms`."""
        ...

    def to_forget(self, now_ms: int, limit: int) -> list[str]:
        """Ids of finished messages whose `forget_at` has come, oldest first."""
        ...

    @property
    def voids(self) -> set[str]:
        """Ids whose newest record in the log is void and is not written over yet (rule 6, `repair`); may be changed; kept by apply."""
        ...

    def rows(self) -> int:
        """How many rows it holds, stubs too."""
        ...

    def drop_windows(self, before_ms: int) -> list[int]:
        """Forget the counts of windows that began before; which there were."""
        ...

    def ids(self, start: str, end: str, limit: int) -> list[str]:
        """Ids in [start, end), in order."""
        ...

    def wipe(self) -> None:
        """Forget everything: it is to be rebuilt from the log."""
        ...

    def close(self) -> None:
        """Release the files."""
        ...


class ScheduleChange(NamedTuple):
    """A schedule's row as it now is, or a tombstone (`row` None)."""

    id: str
    row: ScheduleRow | None
    value: bytes | None


class ScheduleTable(Protocol):
    """The disk's copy of one partition of `schedules`: rows by id and by the time when there is something to do."""

    applied: int
    epoch: int
    """The newest claim's epoch, -1 before the first."""

    def get(self, schedule_id: str) -> ScheduleRow | None:
        """The row, or None."""
        ...

    def apply(self, changes: Iterable[ScheduleChange], applied: int) -> None:
        """Take rows in, in one atomic write batch with `applied`, `epoch` and `voids` as they are set."""
        ...

    def to_tend(self, now_ms: int, limit: int) -> list[str]:
        """Ids of schedules with something to do now, the longest overdue first."""
        ...

    def after(self, schedule_id: str, limit: int) -> list[ScheduleRow]:
        """Rows with a greater id, in order."""
        ...

    @property
    def voids(self) -> set[str]:
        """Ids whose newest record in the log is void and is not written over yet; may be changed; kept by apply."""
        ...

    def close(self) -> None:
        """Release the files."""
        ...


class Memory(Protocol):
    """The disk's copy of one outcomes partition, 20 minutes deep."""

    applied: int
    claim: int
    epochs: dict[int, int]
    """The highest epoch passed, by timetable partition."""
    done_before: DoneBefore | None
    """How far the due log was done when the newest outcomes were written."""
    paces: dict[str, Paced]
    """What the newest outcome that has it says of a flow's rate."""

    def get(self, key: str) -> OutcomeRecord | None:
        """The recorded outcome of `outcome_key(key, birth, turn)`, or None."""
        ...

    def get_many(self, keys: Sequence[str]) -> list[OutcomeRecord | None]:
        """Several at once."""
        ...

    def apply(self, outcomes: Iterable[tuple[str, OutcomeRecord, bytes]], applied: int) -> None:
        """Take outcomes in (key, record, its bytes), in one write batch with `applied`, `claim`, `epochs` and `done_before`."""
        ...

    def forget(self, before_ms: int) -> int:
        """Drop what finished before; how many were dropped."""
        ...

    def close(self) -> None:
        """Release the files."""
        ...


class Channel(Protocol):
    """A way to send. One file in agents/channels holds one, as CHANNEL = a factory of it."""

    name: str
    honours_key: bool
    """Whether a receiver that checks the key makes a repeat harmless (rule 10)."""
    delays_ms: tuple[int, ...]
    """The retry schedule: delays after the first attempt."""
    timeout_ms: int
    concurrency: int
    """How many sends at once in one process."""

    async def start(self) -> None:
        """Open what it sends with."""
        ...

    async def send(self, message: DueMessage) -> Outcome:
        """One attempt. Failures are outcomes, not exceptions; what raises is told as Rejected or RetryLater by the courier."""
        ...

    async def stop(self) -> None:
        """Close it."""
        ...


Turn = Callable[[], Awaitable[Outcome | None]]
"""Waits until a request may leave, some moments at most; else what is to be answered instead."""


@runtime_checkable
class TurnChannel(Channel, Protocol):
    """One that connects first: where a flow has a rate, its requests are counted where they leave."""

    async def send_in_turn(self, message: DueMessage, turn: Turn) -> Outcome:
        """As `send`; `turn` is awaited once, just before the request, which goes out in the same step of the loop."""
        ...


Lease = Callable[[], bool]
"""Whether this process may still act for its partitions (rule 7)."""

Home = Callable[[str], int]
"""The partition of a routing key."""


class OwnerWatch(Protocol):
    """Who looks on: metrics. Logic calls it and does not depend on it."""

    def decided(self, kind: str, channel: str, count: int) -> None:
        """Events written, by kind."""
        ...

    def emitted(self, channel: str, count: int) -> None:
        """Due messages that are in Kafka now."""
        ...

    def zombie_rows(self, count: int) -> None:
        """Void rows of a former owner that were found and written over."""
        ...

    def loading(self, partition: int, position: int, end: int) -> None:
        """The timetable is read up to here; the load ends at `end`."""
        ...

    def recovered(self, partition: int, ms: int) -> None:
        """A partition is owned and caught up."""
        ...

    def without_channel(self, channel: str) -> None:
        """A message is due on a channel that this process does not have."""
        ...

    def overdue_acks(self, count: int) -> None:
        """Emissions without an ack for 15 minutes, emitted again."""
        ...

    def owner(self, record: OwnerRecord) -> None:
        """How a partition's owner is, every few seconds."""
        ...

    def let_go(self, partition: int) -> None:
        """A partition is owned here no more."""
        ...


class Seat(NamedTuple):
    """Logs of the topics around one timetable partition, of `partitions` in all."""

    partitions: int

    timetable: Log
    commands: Log
    acks: Log
    events: Log
    dead_letters: Log
    windows: Log
    answers: Callable[[int], Log]
    due: Mapping[str, Sequence[Log]]
    forward: Callable[[int], Log]
    """The commands log of another partition: a command that came to the wrong one is passed on."""
    schedules: Log | None = None
    """None: an owner that keeps no schedules."""
