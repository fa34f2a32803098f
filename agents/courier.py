"""The courier of a partition of `due.<channel>`: takes due messages, has them sent, remembers, acks (rules 5, 7, 9)."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from agents.ack_writer import AckWriter, encoded_ack
from agents.claimed_log import ClaimedLog, LostClaimError
from agents.courier_admission import CourierAdmission
from agents.courier_memory import MEMORY_MS, MemoryLoader, claim_record, epoch_record, is_claim, is_perhaps
from agents.courier_watch import CourierWatch, Unwatched
from agents.due_in_hand import DueInHand
from agents.due_inbox import DueInbox
from agents.due_reader import DueReader
from agents.duty import Duty
from agents.flow_gates import FlowGates
from agents.flows import Flows
from agents.outcome_writer import BATCH_MAX, Note, OutcomeWriter, started, started_now
from agents.ports import Clock, Lease, Log, Memory, TurnChannel
from agents.send_job import Job
from agents.send_pool import SendPool
from agents.unrecorded import Unrecorded
from schemas.due import DueMessage, Fence
from schemas.outcomes import Delivered, DoneBefore, Outcome, OutcomeRecord, Stale, Unknown
from schemas.times import MILLISECOND

HERD_WAIT = timedelta(seconds=1)
"""An outcome waits so long, at the most, for a herd to be in hand, then for its turn between the messages that still come:
what a kill takes of it is sent again."""
HERD = 500
"""Messages of all partitions within a pause: while so many come, more are on their way."""
CHUNK = 50
"""Messages prepared before the workers get their turn: the first starts within a millisecond."""
MEMORY_SPAN = timedelta(milliseconds=MEMORY_MS)
TICK_MS = 1_000
TICKS_TO_FORGET = 60
TICKS_TO_LOOK = 3
STOP_LOOK_MS = 5
OF_A_PREDECESSOR = -1
"""In the place of a due offset that this courier has not taken in yet."""
WRITE_MS_MAX = 5_000
NEVER_KNOWN = "it may have been sent by a courier that ended without an outcome"


class CourierPartition(CourierAdmission):
    """What is fed in is sent once due, recorded, acked, and only then done, in offset order. One per assignment.

    `on_broken` hears of what only a restart of the process mends. When a newer courier has claimed, or the lease is
    gone, the partition lets go by itself, `ended` says why, and nothing more of it is sent, acked or done.
    """

    def __init__(
        self,
        *,
        partition: int,
        courier: str,
        pool: SendPool,
        due: Log,
        outcomes: Log,
        dead_letters: Log,
        memory: Memory,
        acks: Callable[[int], AckWriter],
        clock: Clock,
        lease: Lease,
        on_broken: Callable[[Exception], None],
        watch: CourierWatch | None = None,
        pause: Callable[[], Awaitable[None]] | None = None,
        flows: Flows | None = None,
        partitions: int = 1,
        since: int = 0,
        due_id: str = "",
        unrecorded: Unrecorded | None = None,
    ) -> None:
        """`acks` gives the one AckWriter of this process for a timetable partition; `courier` names it for people.

        All before the due record at `since` is finished; `due_id` is the due topic's own. `unrecorded` is that of its
        predecessors in this process.
        """
        self.partition, self.courier = partition, courier
        self.pool, self.channel = pool, pool.channel
        self.memory, self.acks, self.clock, self.lease = memory, acks, clock, lease
        self.state, self.ended, self.taken_over_end = "new", "", 0
        self.flows = Flows() if flows is None else flows
        self.takes_turns = isinstance(self.channel, TurnChannel)
        self.gates = FlowGates(self.flows, self.channel.name, partitions, memory.paces)
        self._due, self._on_broken, self._watch = due, on_broken, watch or Unwatched()
        self._reader = DueReader(f"due.{self.channel.name}", partition, dead_letters)
        self._log = ClaimedLog(outcomes, is_claim)
        self._pause = pause
        self._writer = OutcomeWriter(
            self._log, memory, self._durable, self._fail, self._newly_done, self._collect if pause else None
        )
        self.since, self.due_id = since, due_id
        self.inbox = DueInbox(due, self._arrived)
        self.unrecorded = unrecorded or Unrecorded()
        changed = partial(self._watch.in_flight, self.channel.name)
        self.in_hand = DueInHand(self.inbox.source, pool.in_hand, changed)
        self._taking = Duty(self._take_records, self._fail)
        self._tasks: list[asyncio.Task[None]] = []
        self.in_flight = {}
        self._begun: dict[str, Job] = {}
        self._entered = 0

    # ---- life

    def start(self) -> None:
        """Recover in a task of its own, then work; faults go to `on_broken`. Records may be fed at once."""
        self._begin_task(self.recover)

    def _begin_task(self, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._guarded(work)))

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - told, whatever it is
            self._fail(error)

    async def recover(self) -> None:
        """Claim, load, then take what was fed. Raises LogBrokenError, MemoryAheadError, wire.NewerRecordError."""
        claim = await self._log.claim(claim_record(self.courier))
        self.taken_over_end = await self._due.end()
        loader = MemoryLoader(self.memory, self.is_void_outcome, self._reader.unreadable_outcome)
        await loader.load(self._log.log, claim + 1, self.clock.now_ms())
        self.memory.claim = claim
        self.memory.apply((), claim + 1)
        self.gates.begin(self.clock.now_ms())
        if self.state != "new":
            return
        self.state = "running"
        self._writer.repair(sorted(loader.repair))
        if (done := self.memory.done_before) and done.log == self.due_id and done.offset <= self.taken_over_end:
            self.since = max(self.since, done.offset)
        for job in self.unrecorded.take(self.memory):
            self._go_on_with(job)
        self.inbox.start(self.since)
        self._begin_task(self._look_each_second)
        self._begin_task(self.inbox.read)
        await self.inbox.source.look()

    def _go_on_with(self, job: Job) -> None:
        """A predecessor in this process began it. Its due record comes again, and waits for it as a repeat."""
        job.hands, job.offset = self, OF_A_PREDECESSOR
        job.maybe = self.honours_key(job.message)  # else a note would tell that somebody else began it too
        if self.flows:
            self.gates.doubt(job.message.flow)
        self.in_flight[job.key] = ()
        if job.outcome is None:
            self._begun[job.key] = job
        else:
            self.tell(job, job.outcome, job.begun, job.ended)

    async def stop(self) -> None:
        """Start nothing more, finish what is being sent (within the channel's timeout), write, ack, let go (rule 9)."""
        if self.state == "new":
            self.let_go("stopped")
        if self.state == "gone":
            return
        self.state = "stopping"
        await self._until(lambda: not self._entered and not self._begun, self.channel.timeout_ms)
        await self._until(lambda: not self.in_hand.owed, WRITE_MS_MAX)
        self.let_go("stopped")

    def done_before(self) -> int:
        """The oldest unfinished due record."""
        return max(self.since, self.inbox.source.order.low)

    def _newly_done(self) -> DoneBefore | None:
        known, low = self.memory.done_before, self.done_before()
        if known is not None and known.log == self.due_id and known.offset >= low:
            return None
        return DoneBefore(log=self.due_id, offset=low) if low else None

    def inherit(self, former: "CourierPartition") -> None:
        """Before `start`: who waits at a predecessor in this process for a due record to be done, waits here."""
        self.inbox.source.inherit(former.inbox.source)

    def abandon(self) -> None:
        """Let go at once: nothing more is sent, written, acked or done."""
        self.let_go("abandoned")

    async def _until(self, over: Callable[[], bool], ms: int) -> None:
        limit = self.clock.now_ms() + ms
        while not over() and self.state != "gone" and self.clock.now_ms() < limit:
            await self.clock.sleep_ms(STOP_LOOK_MS)

    def let_go(self, why: str) -> None:
        """Nothing more is sent, written, acked or done; `ended` will be `why`."""
        if self.state == "gone":
            return
        self.state, self.ended = "gone", why
        for job in (*self._writer.abandon(), *self._begun.values()):
            self.unrecorded.keep(job, self._log.epoch)
        self.gates.unheard()
        self._taking.cancel()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self.inbox.close()
        self.in_flight.clear()
        self.in_hand.close()

    def _fail(self, error: Exception) -> None:
        if self.state == "gone":
            return
        lost = isinstance(error, LostClaimError)
        self.let_go("claim lost" if lost else "broken")
        if not lost:
            self._on_broken(error)

    async def _look_each_second(self) -> None:
        ticks = 0
        while True:
            await self.clock.sleep_ms(TICK_MS)
            await self._log.check()
            self._writer.repair(self._log.take_void())
            self.pool.shed()
            ticks += 1
            if ticks % TICKS_TO_LOOK == 0:
                await self.inbox.look()
            if ticks % TICKS_TO_FORGET == 0:
                self.memory.forget(self.clock.now_ms() - MEMORY_MS)

    # ---- records in

    def feed(self, offset: int, value: bytes | None, done: Callable[[], object]) -> None:
        """The stream brings a record of the due log; `done` is called when it and all before it are durable."""
        self.inbox.feed(offset, value, done)

    def _arrived(self) -> None:
        if self.state == "running":
            self._taking.wake()

    async def room(self) -> None:
        """Return when another record may be fed."""
        await self.inbox.room()

    async def _collect(self) -> None:
        """What waits to be sent goes first, for a while: a herd is in hand before its outcomes are written."""
        assert self._pause is not None
        while not self.pool.in_hand.full() and self._writer.waits_since() + HERD_WAIT > self.pool.now():
            taken = self.pool.taken
            await self._pause()
            if not self.inbox and self.pool.taken - taken < HERD:
                return
        for _ in range(BATCH_MAX // CHUNK):  # it was long enough: from now on outcomes and messages in turn
            if not self.inbox or self.pool.in_hand.full():
                return
            await self.clock.sleep_ms(0)

    async def _take_records(self) -> None:
        while self.inbox and self.state == "running":
            offset, value = self.inbox.take()
            found = await self._reader.read(offset, value, self.pool.now())
            self.in_hand.begin(offset, len(found), len(value or b""))
            for start in range(0, len(found), CHUNK):
                if not self.may_start():
                    return
                self._take(offset, found[start : start + CHUNK])
                await self.clock.sleep_ms(0)
            await self.pool.in_hand.room()

    def _take(self, offset: int, elements: Sequence[DueMessage | Fence]) -> None:
        messages: list[DueMessage] = []
        for element in elements:
            if isinstance(element, Fence):
                self._pass_fence(offset, element)
            elif self.is_void(element):
                self._drop_void(offset, element)
            else:
                messages.append(element)
        keys = [self.key_of(m) for m in messages]
        now, jobs = self.pool.now(), list[Job]()
        forgotten, taken_over = now - MEMORY_SPAN, self.was_taken_over(offset)
        for message, key, known in zip(messages, keys, self.recorded(keys), strict=True):
            if known is not None and not is_perhaps(known):
                self._watch.repeat_dropped(self.channel.name)
                self.ack_again(offset, message, known)
            elif self.is_in_flight(key):
                self._watch.repeat_dropped(self.channel.name)
                self.in_flight[key] += (offset,)
            else:
                job = Job(self, message, key, offset, known is not None or taken_over)
                if job.maybe and self.flows:
                    self.gates.doubt(message.flow)
                if self._begin(job, known, self.is_stale(message, forgotten)):
                    jobs.append(job)
        if jobs:
            self.pool.add(jobs)

    def _begin(self, job: Job, known: OutcomeRecord | None, stale: bool) -> bool:  # noqa: FBT001 - of one caller
        """Whether a turn that is not recorded is to be sent."""
        if job.maybe and not self.honours_key(job.message):
            # each send of a former courier was noted before it began: without a note only what is forgotten is in doubt
            job.maybe = known is not None or stale
            if job.maybe:
                self.in_flight[job.key] = ()
                self.tell(job, Unknown(reason=NEVER_KNOWN), None, self.pool.now())
                return False
        if stale:
            self.ack_stale(job)
            return False
        self.in_flight[job.key] = ()
        return True

    def _pass_fence(self, offset: int, fence: Fence) -> None:
        if fence.epoch < self.memory.epochs.get(fence.partition, -1):
            self.in_hand.finish({offset: 1})
            return
        self.memory.epochs[fence.partition] = fence.epoch
        record = epoch_record(self._log.epoch, fence.partition, fence.epoch)
        self._writer.note(Note(record, None, self.in_hand.owe({offset: 1})))

    def _drop_void(self, offset: int, message: DueMessage) -> None:
        """The newer owner emits it afresh; that a former courier may have begun it must not be lost with it."""
        self._watch.void_dropped(self.channel.name)
        key = self.key_of(message)
        doubt = self.honours_key(message) and self.was_taken_over(offset)
        if not doubt or self.is_in_flight(key) or self.memory.get(key) is not None:
            self.in_hand.finish({offset: 1})
            return
        job = Job(self, message, key, offset, maybe=True)
        note = started_now(self._log.epoch, job, self.pool.now())
        self._writer.note(started(key, note, self.in_hand.owe({offset: 1})))

    # ---- what the pool asks (send_job.Hands)

    async def note(self, job: Job) -> bool:
        """Make durable that its send may begin; whether it still may."""
        return await self._writer.started(job, self.pool.now()) and self.state != "gone" and self.lease()

    def enters(self, change: int) -> None:
        """Count what has a place."""
        self._entered += change

    def begins(self, job: Job) -> None:
        """It is under way."""
        self._begun[job.key] = job

    def tell(self, job: Job, outcome: Outcome, begun: datetime | None, ended: datetime) -> None:
        """Record an outcome, then ack it."""
        if type(outcome) is not Delivered:
            outcome = self.doubted(job, outcome)
        job.outcome, job.begun, job.ended = outcome, begun, ended
        self._begun.pop(job.key, None)
        if self.state == "gone":
            if begun is not None:
                self.unrecorded.keep(job, self._log.epoch)
            return
        self.in_hand.owed += 1
        self._writer.tell(job)

    # ---- outcomes out

    def _durable(self, told: list[Job]) -> None:
        """Outcomes are in log and memory: ack them, and the repeats that waited for them [reack, one_at_a_time]."""
        if not self.may_ack():
            return
        acks: defaultdict[int, list[bytes]] = defaultdict(list)
        finished: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        delivered, name, in_flight = self._watch.delivered, self.channel.name, self.in_flight
        for job in told:
            m, begun, outcome = job.message, job.begun, job.outcome
            assert outcome is not None
            acks[m.partition].append(encoded_ack(m, outcome, begun, job.ended))
            offsets = finished[m.partition]
            if job.offset != OF_A_PREDECESSOR:
                offsets[job.offset] += 1
            for offset in in_flight.pop(job.key):
                offsets[offset] += 1
            delivered(name, outcome, (begun - m.due_at) // MILLISECOND if begun is not None else 0)
        for partition, encoded in acks.items():
            self.acks(partition).add(encoded, partial(self.in_hand.paid, len(encoded), finished[partition]))

    def ack_again(self, offset: int, message: DueMessage, known: OutcomeRecord) -> None:
        """Ack what is not sent again: a recorded turn, as it was recorded [reack]."""
        ack = encoded_ack(message, known.result, known.started_at, known.finished_at)
        self.acks(message.partition).add([ack], self.in_hand.owe({offset: 1}))

    def ack_stale(self, job: Job) -> None:
        """Ack what is too old to be known: the owner emits it afresh. It is not recorded."""
        ack = encoded_ack(job.message, Stale(maybe_sent=job.maybe), None, self.pool.now())
        self.acks(job.message.partition).add([ack], self.in_hand.owe({job.offset: 1}))
