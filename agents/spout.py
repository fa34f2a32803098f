"""The spout of one partition: emits what is due, marks it first, knows what has landed (rules 2 and 4)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from agents.due_writer import DueWriter
from agents.emissions import Emission, Emissions, Key
from agents.flows import Flows
from agents.near_windows import Armed, NearWindows, alone
from agents.paused import Paused
from agents.ports import Clock, Due, Lease, Log, Mirror, OwnerWatch
from agents.ready_queue import ReadyQueue
from schemas.decisions import Lapsed, Mark, Released, Withheld
from schemas.outcomes import Ack
from schemas.rows import Row
from schemas.times import MINUTE_MS

REEMIT_MS = 15 * MINUTE_MS
"""No ack for so long: an alert, and the same turn is emitted again (rule 2)."""
SLICE = 1_000
EMIT_SLICE = 200
"""So many are marked before the loop gets its turn: a produce takes several turns, however short they are."""
SLOWER = 5
"""Where couriers are slow, a fifth of the places is used."""
IDLE_MS = 1_000
PACE_MS = 4
"""What falls due within so long is emitted together: a produce costs far more than a message in it."""


class Spout:
    """Marks a delivery, then produces it; the mark says `emitted` only when the produce is acknowledged."""

    def __init__(
        self,
        *,
        partition: int,
        due: Mapping[str, Sequence[Log]],
        mirror: Mirror,
        near: NearWindows,
        clock: Clock,
        lease: Lease,
        in_flight_max: int,
        look_ahead_ms: int,
        tell: Callable[[Lapsed | Withheld | Released], None],
        landed: Callable[[str], None],
        watch: OwnerWatch,
        flows: Flows | None = None,
        gives_way: Callable[[Armed, int], str] | None = None,
    ) -> None:
        """`tell`: of deliveries found expired; `landed`: of ids whose emission is now in Kafka."""
        self.mirror, self.near = mirror, near
        self.clock, self.lease, self.look_ahead_ms = clock, lease, look_ahead_ms
        self.tell, self.landed, self.watch = tell, landed, watch
        self.gives_way = gives_way
        slow = max(1, in_flight_max // SLOWER)
        self.queues = {c: ReadyQueue(in_flight_max, max(1, slow // 10), slow) for c in due}
        self.emissions = Emissions()
        self.writer = DueWriter(partition, due, mirror, clock, self.has_landed, self.fail)
        self.flows = Flows() if flows is None else flows
        self.paused = Paused(self.flows)
        self._unheard = self.flows.on_change(self._flow_changed)
        self.held: set[str] = set()
        self.set_aside: list[Armed] = []
        self.bell = asyncio.Event()
        self.starved = asyncio.Event()
        """Something is due and every place in flight is taken."""
        self.fault: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stopping = False
        self.sifting = False
        """All that was looked at is of flows that have their share: whether others are due has to be found soon."""

    def begin(self, epoch: int, horizon_ms: int) -> None:
        """Emit in this epoch; what was due by the horizon, a former owner may have emitted (rule 2, `maybe_emitted`)."""
        self.writer.epoch = epoch
        self.emissions.begin(epoch, horizon_ms)

    def marks(self, row: Row) -> tuple[Mark, ...]:
        """The marks of all deliveries."""
        return tuple(self.emissions.mark(row, d) for d in row.deliveries)

    async def run(self) -> None:
        """Emit until `end`; what breaks a produce is raised by `broke`."""
        try:
            while not self.fault.done():
                self.bell.clear()
                if self.stopping or not self.lease():
                    await self.clock.wait(self.bell, 50)
                elif self.arm() | self.emit():
                    await asyncio.sleep(0)
                else:
                    await self.clock.wait(self.bell, max(PACE_MS, self.pause_ms()))
        except Exception as error:  # noqa: BLE001 - raised by broke()
            self.fail(error)

    async def broke(self) -> None:
        """Never returns before `end`; raises what broke the spout."""
        await self.fault

    def end(self) -> None:
        """The partition goes: emit no more, leave what is under way."""
        if not self.fault.done():
            self.fault.set_result(None)
        self._unheard()
        self.bell.set()
        self.writer.cancel()

    def fail(self, error: Exception) -> None:
        """The partition cannot go on: `broke` raises this."""
        if not self.fault.done():
            self.fault.set_exception(error)

    def pause_ms(self) -> float:
        """How long nothing will be due."""
        next_ms = self.near.next_due_ms()
        return IDLE_MS if next_ms is None else max(0, min(IDLE_MS, next_ms - self.clock.now_ms()))

    def arm(self) -> bool:
        """Load a slice of the next windows; True when there is more."""
        until = self.clock.now_ms() + self.look_ahead_ms
        near = self.near
        if self.paused.resumed:
            self._release_resumed()
            return True
        if near.full() or near.horizon.due_ms > until - self.look_ahead_ms // 8:
            return False
        found = self.mirror.due_from(near.horizon, until, SLICE)
        near.horizon = found[-1] if len(found) == SLICE else Due(until, "\U0010ffff", 0)
        for due in found:
            row = self.mirror.get(due.id)
            if row is not None and (due.id, due.target) not in near.armed:
                near.arm_one(row, due.target)
        return len(found) == SLICE

    def emit(self) -> bool:
        """Move what is due to the ready queues and from there to the writers; True when there is more to do at once."""
        now = self.clock.now_ms()
        for lapsed in self.paused.lapsed(now):
            self.tell(lapsed)
        self._make_ready(now)
        taken, more = 0, self._is_due(now)
        for channel, queue in self.queues.items():
            batch = queue.take(EMIT_SLICE, now, more=more)
            if len(batch) < EMIT_SLICE and len(queue) and not more:
                self.starved.set()
            taken += len(batch)
            for armed in batch:
                self._start(channel, queue, armed, now)
        self.sifting = more and not taken
        return more or taken >= EMIT_SLICE

    def _make_ready(self, now: int) -> None:
        """What is due waits in the ready queues; what is paused is held back."""
        for group in self.near.due(now, SLICE if self.sifting else EMIT_SLICE):
            if self.flows.paused:
                group.waiting = [armed for armed in group.waiting if not self.is_held_back(armed)]
            queue = self.queues.get(group.channel)
            if queue is None:  # accepted where the channel was installed: it waits for a process that has it
                for _ in group.waiting:
                    self.watch.without_channel(group.channel)
            elif group.waiting:
                queue.push(group)

    def _start(self, channel: str, queue: ReadyQueue, armed: Armed, now: int) -> None:
        key = (armed.id, armed.target)
        if not self.near.is_armed(armed) or self.emissions.has(key, armed):
            queue.release(armed.flow)
        elif armed.id in self.held:
            queue.release(armed.flow)
            self.set_aside.append(armed)
        elif armed.expires_ms is not None and armed.expires_ms <= now and not self._is_doubtful(armed):
            queue.release(armed.flow)
            self.tell(Lapsed(*key))
        elif armed.watched and self.gives_way is not None and (reason := self.gives_way(armed, now)):
            queue.release(armed.flow)
            self.tell(Withheld(armed.id, reason))
        elif self.flows.paused and self.is_held_back(armed):
            queue.release(armed.flow)
        else:
            self.emissions.add(key, channel, armed, now)
            self.writer.send(channel, armed)

    def is_held_back(self, armed: Armed) -> bool:
        """Whether its flow or channel is paused; then it is.

        Not where a former owner may have emitted it: a courier then says that it is paused, and it can be edited again.
        """
        key = self.paused.key_of(armed)
        if key is None:
            return False
        if self._is_doubtful(armed):
            return False
        self.near.disarm(armed.id, armed.target)
        self.paused.hold(armed, key)
        return True

    def _is_doubtful(self, armed: Armed) -> bool:
        """Whether a former owner may have emitted it: then a courier knows what became of it, and is asked."""
        if armed.due_ms > self.emissions.horizon_ms:
            return False
        row = self.mirror.get(armed.id)
        return row is not None and self.emissions.perhaps(row.deliveries[armed.target])

    def _flow_changed(self, key: str, *, raised: bool) -> None:  # noqa: ARG002 - see GivenSlots
        if key in self.flows.paused:
            for queue in self.queues.values():
                queue.put_aside(self._is_live_and_held_back)
        elif self.paused.changed(key):
            self.bell.set()

    def _is_live_and_held_back(self, armed: Armed) -> bool:
        emitted = (armed.id, armed.target) in self.emissions
        return not emitted and self.near.is_armed(armed) and self.is_held_back(armed)

    def _release_resumed(self) -> None:
        """A slice of what was held back is due again, from now on: what a pause lasted is no lateness."""
        for _ in range(min(SLICE, len(self.paused.resumed))):
            self.tell(Released(*self.paused.resumed.popleft(), resumed=True))

    def has_landed(self, batch: list[Armed]) -> None:
        """These are in Kafka: only now may `too_late: emitted` be answered (`answer_after_emit`)."""
        for armed in batch:
            if self.emissions.landed(armed):
                self.near.drop_body(armed)
                self.landed(armed.id)
        self.watch.emitted(batch[0].channel, len(batch))

    def hold(self, ids: set[str]) -> None:
        """These rows are being written: emit none of them (rule 1)."""
        self.held = ids

    def let_go(self) -> None:
        """The write is over."""
        self.held = set()
        for armed in self.set_aside:
            self.queues[armed.channel].push(alone(armed))
        self.set_aside.clear()
        self.bell.set()

    def came_back(self, ack: Ack) -> None:
        """An ack has arrived: its place in flight is free, though its row is not written yet."""
        emission = self.emissions.came_back(ack)
        if emission is not None:
            self.queues[emission.channel].release(emission.flow)
            if len(self.queues[emission.channel]):
                self.bell.set()

    def settle(self, row: Row) -> None:
        """A row was written: drop the marks of turns that are over."""
        if self.paused.counts:
            self.paused.forget(row)
        if not self.emissions:
            return
        for emission in self.emissions.settled(row):
            if emission.counted:
                self.queues[emission.channel].release(emission.flow)

    def emit_again(self) -> int:
        """Emit again what got no ack for 15 minutes, with the same turn; how many."""
        now = self.clock.now_ms()
        late = self.emissions.unanswered(now - REEMIT_MS)
        return sum(key[0] not in self.held and self._again(key, emission, now) for key, emission in late)

    def _again(self, key: Key, emission: Emission, now: int) -> bool:
        armed = self.near.armed.get(key)
        if armed is None or armed.turn != emission.turn:
            return False
        self.emissions.again(key, emission, now)
        self.writer.send(emission.channel, armed)
        return True

    def busy(self) -> bool:
        """Whether something is due that may be emitted now."""
        now = self.clock.now_ms()
        return self._is_due(now) or any(len(q) and q.room(now) > 0 for q in self.queues.values())

    def pressed(self) -> bool:
        """Whether something is due and not emitted, for want of time or of places."""
        return self._is_due(self.clock.now_ms()) or any(len(q) for q in self.queues.values())

    def _is_due(self, now: int) -> bool:
        next_ms = self.near.next_due_ms()
        return next_ms is not None and next_ms <= now

    def in_flight(self) -> dict[str, int]:
        """Emitted and not acked, by channel."""
        return {c: q.in_flight for c, q in self.queues.items()}

    def waiting(self) -> dict[str, int]:
        """Due, and no place in flight is free, by channel."""
        return {c: len(q) for c, q in self.queues.items()}
