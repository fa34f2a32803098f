"""The hands of one channel in one process: long-lived workers that send what all its partitions give them."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import coroutine
from typing import Any

import structlog

from agents.breakers import Breakers
from agents.early_jobs import EarlyJobs
from agents.flows import Flows
from agents.in_hand import InHand
from agents.lanes import Lanes
from agents.ports import Channel, Clock, TurnChannel
from agents.send_job import Hands, Hold, Job, endpoint
from agents.turns import take_turn
from schemas.breaker import Breaker
from schemas.outcomes import Deferred, Delivered, Expired, Outcome, RetryLater, Unknown
from schemas.times import EPOCH, at

TURN = 100
"""Messages sent without suspending before the loop gets its turn."""

log = structlog.get_logger(__name__)


class SendPool:
    """At most `channel.concurrency` sends at once, `share` of them to one endpoint.

    A send that never suspends costs no task, timer or future: the first step of each is made by hand, and only what is
    still under way after it counts against limits.
    """

    def __init__(
        self,
        channel: Channel,
        clock: Clock,
        on_broken: Callable[[Exception], None],
        *,
        share: int | None = None,
        flows: Flows | None = None,
    ) -> None:
        self.channel = channel
        self._in_turn = channel.send_in_turn if isinstance(channel, TurnChannel) else None
        self.flows = Flows() if flows is None else flows
        self.clock = clock
        self._on_broken = on_broken
        self.in_hand = InHand()
        self.taken = 0
        """How many jobs there have been."""
        self._jobs: deque[Job] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._lanes = Lanes(channel.name, share or max(1, channel.concurrency // 4), self.flows)
        self._breakers = Breakers(channel.name)
        self._early = EarlyJobs(clock, self.add)
        self._now_ms, self._now = 0, EPOCH

    def add(self, jobs: Sequence[Job]) -> None:
        """Send these when it is their turn."""
        self.taken += len(jobs)
        self._jobs.extend(jobs)
        self._more()

    async def stop(self) -> None:
        """Cancel what is under way: partitions have stopped before, or are abandoned."""
        self._early.cancel()
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    @property
    def breakers(self) -> Mapping[str, Breaker]:
        """Of the endpoints whose last send was not answered."""
        return self._breakers.known

    def now(self) -> datetime:
        """The clock's time, converted once per millisecond."""
        now_ms = self.clock.now_ms()
        if now_ms != self._now_ms:
            self._now_ms, self._now = now_ms, at(now_ms)
        return self._now

    # ---- limits

    def shed(self) -> None:
        """What would wait too long for an endpoint or a flow goes back to the timetable meanwhile. Called each second."""
        now = self.now()
        for job, until_ms, place in self._lanes.surplus(self._now_ms):
            reason = f"{place} is busy: it comes again at {at(until_ms):%H:%M:%S} (UTC)"
            job.hands.tell(job, Deferred(until=at(until_ms), reason=reason), None, now)

    def _enter(self, job: Job) -> Hands:
        probe = bool(self._breakers.known) and self._breakers.is_probe(endpoint(job.message.to))
        self._lanes.enter(job, self.clock.now_ms(), probe=probe)
        job.hands.enters(1)
        return job.hands

    def _leave(self, job: Job, hands: Hands) -> None:
        """`hands`: those with which it entered."""
        hands.enters(-1)
        self._go_on(self._lanes.leave(job, self.clock.now_ms()))

    def _go_on(self, parked: list[Job]) -> None:
        if parked:
            self._jobs.extendleft(reversed(parked))
            self._more()

    def _tell(self, job: Job, outcome: Outcome, begun: datetime | None) -> None:
        """The outcome of a send; and what it says of its endpoint, which is nothing where no request left."""
        left = not isinstance(outcome, Deferred | Expired)
        if left and (type(outcome) is not Delivered or self._breakers.known):
            place = endpoint(job.message.to)
            if place and self._breakers.judge(place, outcome, self.clock.now_ms()):
                self._go_on(self._lanes.empty(place))
        job.hands.tell(job, outcome, (job.begun or begun) if left else None, self.now())

    # ---- workers

    def _more(self) -> None:
        """There are jobs: one more worker, if there is one."""
        if not self._jobs:
            return
        while self._idle:
            waiting = self._idle.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return
        if len(self._workers) < self.channel.concurrency:
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        error = None if worker.cancelled() else worker.exception()
        if isinstance(error, Exception):
            self._on_broken(error)

    async def _work(self) -> None:
        jobs, loop, turn = self._jobs, asyncio.get_running_loop(), 0
        send = self._send if self.channel.honours_key else self._send_noted
        while True:
            while not jobs:
                waiting: asyncio.Future[None] = loop.create_future()
                self._idle.append(waiting)
                await waiting
            job = jobs.popleft()
            lane = self._lanes.blocked(job)
            if lane is not None:
                self._go_on(self._lanes.park(job, lane))
                continue
            under_way = send(job) if not self.flows else self._step(job)
            if under_way is not None:
                self._more()
                await under_way
                turn = 0
                continue
            if self._lanes.waiting:
                self._go_on(self._lanes.pass_by(job))
            if (turn := turn + 1) == TURN:
                turn = 0
                await self.clock.sleep_ms(0)

    def _step(self, job: Job) -> Coroutine[Any, Any, None] | None:
        """As its flow has it."""
        return self._send(job) if job.hands.honours_key(job.message) else self._send_noted(job)

    def _may_send(self, job: Job, now: datetime) -> bool:
        held: Outcome | Hold | None = None
        if self._breakers.known and (place := endpoint(job.message.to)):
            held = self._breakers.refuse(job, place, self.clock.now_ms())
        held = held or job.hands.hold(job, now)
        if held is None:
            return True
        if held is Hold.EARLY:
            self._early.add(job)
        elif held is not Hold.GONE:
            job.hands.tell(job, held, None, now)
        return False

    def _send(self, job: Job) -> Coroutine[Any, Any, None] | None:
        """Begin a send; what remains to be awaited of it, or None when it is over."""
        begun = self.now()
        if not self._may_send(job, begun):
            return None
        sending = self._sending(job)
        try:
            waiting = sending.send(None)
        except StopIteration as end:
            self._tell(job, end.value, begun)
            return None
        except Exception as error:  # noqa: BLE001 - a channel may fail in any way
            self._tell(job, self._failed(job, error), begun)
            return None
        return self._rest(job, sending, waiting, begun)

    def _sending(self, job: Job) -> Coroutine[Any, Any, Outcome]:
        if job.gates and self._in_turn is not None:
            return self._in_turn(job.message, partial(take_turn, job, self.clock))
        return self.channel.send(job.message)

    async def _rest(self, job: Job, sending: Coroutine[Any, Any, Outcome], waiting: Any, begun: datetime) -> None:
        hands = self._enter(job)
        hands.begins(job)
        try:
            outcome = await self._bounded(job, go_on(sending, waiting))
            self._tell(job, outcome, begun)
        finally:
            self._leave(job, hands)

    async def _bounded(self, job: Job, rest: Coroutine[Any, Any, Outcome]) -> Outcome:
        """The outcome of a send, within the channel's timeout; failures are outcomes too."""
        bound = asyncio.timeout(self.channel.timeout_ms / 1000)
        try:
            async with bound:
                return await rest
        except TimeoutError as error:
            if not bound.expired():
                return self._failed(job, error)
            return self._doubtful(job, f"no answer within {self.channel.timeout_ms} ms", unanswered=True)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return self._failed(job, error)
        except Exception as error:  # noqa: BLE001 - a channel may fail in any way
            return self._failed(job, error)

    async def _send_noted(self, job: Job) -> None:
        """On a channel that honours no key: what may begin is durable before it does (rule 10)."""
        if not self._may_send(job, self.now()):
            self._go_on(self._lanes.pass_by(job))
            return
        hands = self._enter(job)
        try:
            if await hands.note(job):
                hands.begins(job)
                held = await take_turn(job, self.clock) if job.gates and self._in_turn is None else None
                begun = self.now()
                self._tell(job, held or await self._bounded(job, self._sending(job)), begun)
        finally:
            self._leave(job, hands)

    def _failed(self, job: Job, error: BaseException) -> Outcome:
        message = job.message
        log.error("channel_raised", channel=self.channel.name, key=message.key, turn=message.turn, exc_info=error)
        return self._doubtful(job, f"{type(error).__name__}: {error}", unanswered=False)

    def _doubtful(self, job: Job, reason: str, *, unanswered: bool) -> Outcome:
        if job.hands.honours_key(job.message):
            return RetryLater(reason=reason, maybe_sent=True, unanswered=unanswered)
        return Unknown(reason=reason, unanswered=unanswered)


@coroutine
def go_on(begun: Coroutine[Any, Any, Outcome], waiting: Any) -> Generator[Any, Any, Outcome]:
    """Go on with a coroutine whose first step was made by hand and that waits for `waiting`; its result."""
    try:
        while True:
            try:
                sent = yield waiting
            except GeneratorExit:
                begun.close()
                raise
            except BaseException as error:  # noqa: BLE001 - as `yield from` does, cancellation included
                waiting = begun.throw(error)
            else:
                waiting = begun.send(sent)
    except StopIteration as end:
        result: Outcome = end.value
        return result
