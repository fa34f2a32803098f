"""Outcomes on their way into a courier's log and memory: collected during an append, one batch at a time."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from agents.claimed_log import ClaimedLog
from agents.courier_memory import (
    EPOCH_KEY,
    Remembered,
    done_record,
    epoch_record,
    is_perhaps,
    perhaps_begun,
    started_note,
)
from agents.duty import Duty
from agents.ports import Memory, Record
from agents.send_job import Job
from schemas.outcomes import DoneBefore, OutcomeRecord, Started
from schemas.wire import encode

BATCH_MAX = 1_000
BATCH_BYTES_MAX = 512 * 1024


class Note(NamedTuple):
    """Another record, durable before `then` is called: a fence passed, a send that may begin, a repair."""

    record: Record
    remembered: Remembered | None
    then: Callable[[], None]


class OutcomeWriter:
    """Writes for one partition. What it holds when the claim is lost is void: it is never told durable."""

    def __init__(
        self,
        log: ClaimedLog,
        memory: Memory,
        durable: Callable[[list[Job]], None],
        on_error: Callable[[Exception], None],
        done: Callable[[], DoneBefore | None],
        pause: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`done`: how far the due log is done, if that is further than is written.

        `pause`: waited out before a batch, for more to come: a write costs far more than an outcome in it.
        """
        self._pause, self._done = pause, done
        self.log = log
        self._memory = memory
        self._durable = durable
        self._told: deque[Job] = deque()
        self._under_way: list[Job] = []
        self._notes: deque[Note] = deque()
        self._waiting: set[asyncio.Future[bool]] = set()
        self._duty = Duty(self._write, on_error)

    def tell(self, job: Job) -> None:
        """Write the outcome of a job; `durable` is called with it once it is in log and memory."""
        self._told.append(job)
        self._duty.wake()

    def waits_since(self) -> datetime:
        """When the send was over whose outcome waits at the head. Raises IndexError where none waits."""
        return self._told[0].ended

    def note(self, note: Note) -> None:
        """Write another record."""
        self._notes.append(note)
        self._duty.wake()

    async def started(self, job: Job, at: datetime) -> bool:
        """Write that the send of a job may begin (rule 10); True once that is durable, False when it never will be."""
        durable: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.add(durable)
        self.note(started(job.key, started_now(self.log.epoch, job, at), partial(_resolve, durable, True)))  # noqa: FBT003
        try:
            return await durable
        finally:
            self._waiting.discard(durable)

    async def idle(self) -> None:
        """Return when all is written, or the log is lost."""
        await self._duty.idle()

    def abandon(self) -> list[Job]:
        """Write nothing more; the jobs whose outcomes are not known to be durable."""
        self._duty.cancel()
        left = [*self._under_way, *self._told]
        self._told.clear()
        self._notes.clear()
        for durable in self._waiting:
            _resolve(durable, False)  # noqa: FBT003
        return left

    def repair(self, keys: list[str]) -> None:
        """Write what is known over void records of these keys, before compaction can choose those."""
        for key, known in zip(keys, self._memory.get_many(keys), strict=True):
            if key.startswith(EPOCH_KEY):
                self._repair_epoch(int(key.removeprefix(EPOCH_KEY)))
            elif known is None:
                continue
            elif is_perhaps(known):
                self.note(started(key, started_note(self.log.epoch, known), _nothing))
            else:
                self.note(_written(key, replace(known, claim=self.log.epoch)))

    def _repair_epoch(self, partition: int) -> None:
        epoch = self._memory.epochs.get(partition)
        if epoch is not None:
            self.note(Note(epoch_record(self.log.epoch, partition, epoch), None, _nothing))

    async def _write(self) -> None:
        while self._told or self._notes:
            if self._pause is not None and not self._notes:
                await self._pause()
            notes = [self._notes.popleft() for _ in range(min(BATCH_MAX, len(self._notes)))]
            told, remembered = self._batch()
            self._under_way = told
            records = [note.record for note in notes]
            records += [Record(key.encode(), value) for key, _, value in remembered]
            done = self._done()
            if done is not None:
                records.append(done_record(done))
            await self.log.append(records)
            self._memory.done_before = done or self._memory.done_before
            kept = [note.remembered for note in notes if note.remembered is not None]
            self._memory.apply(kept + remembered if kept else remembered, self.log.next)
            self._under_way = []
            for note in notes:
                note.then()
            self._durable(told)
            void = self.log.take_void()
            if void:
                self.repair(void)

    def _batch(self) -> tuple[list[Job], list[Remembered]]:
        claim, queue, size = self.log.epoch, self._told, 0
        told: list[Job] = []
        remembered: list[Remembered] = []
        while queue and len(told) < BATCH_MAX and size < BATCH_BYTES_MAX:
            job = queue.popleft()
            record = outcome_record(job, claim)
            value = encode(record)
            size += len(value)
            told.append(job)
            remembered.append((job.key, record, value))
        return told, remembered


def started(key: str, note: Started, then: Callable[[], None]) -> Note:
    """A `started` note, in the log as such, in memory as a placeholder of its outcome."""
    placeholder = perhaps_begun(note)
    return Note(Record(key.encode(), encode(note)), (key, placeholder, encode(placeholder)), then)


def outcome_record(job: Job, claim: int) -> OutcomeRecord:
    """What is remembered of a job that is over."""
    m = job.message
    assert job.outcome is not None
    return OutcomeRecord(
        claim=claim,
        key=m.key,
        birth=m.birth,
        turn=m.turn,
        due_at=m.due_at,
        started_at=job.begun,
        finished_at=job.ended,
        result=job.outcome,
        paced=tuple(gate.state() for gate in job.gates) if job.gates else (),
    )


def _written(key: str, record: OutcomeRecord) -> Note:
    value = encode(record)
    return Note(Record(key.encode(), value), (key, record, value), _nothing)


def started_now(claim: int, job: Job, at: datetime) -> Started:
    """The note that the send of a job may begin."""
    m = job.message
    return Started(claim=claim, key=m.key, birth=m.birth, turn=m.turn, due_at=m.due_at, at=at)


def _resolve(durable: asyncio.Future[bool], how: bool) -> None:  # noqa: FBT001
    if not durable.done():
        durable.set_result(how)


def _nothing() -> None:
    """Nobody waits for it."""
