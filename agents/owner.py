"""The one owner of a timetable partition: an inbox around `decide` (DESIGN section 3, rules 1 to 7).

The agents feed it, the spout asks it, nothing else touches the partition. A round is: take a slice of the inbox,
decide, write the rows and await them, take them into mirror and memory, publish events and answers and await them,
finish the sources. Rounds follow each other, so a crash leaves at most one round's events to be published again.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from agents.decider import Decider
from agents.flows import Flows
from agents.given_slots import GivenSlots
from agents.inbox import Inbox, Item
from agents.inputs import Inputs
from agents.load_order import LoadOrder
from agents.near_windows import Armed, NearWindows, Place
from agents.ports import Clock, Home, Lease, Mirror, OwnerWatch, ScheduleTable, Seat, Stored
from agents.recent import Recent
from agents.recovery import take_over
from agents.round import Round
from agents.schedule_keeper import ScheduleKeeper
from agents.spout import Spout
from agents.window_teller import WindowTeller, Working
from schemas.decisions import Forgotten, Lapsed, Policy, Released, Withheld
from schemas.schedule_decisions import Tend

FORGET_SLICE = 500
TICK_MS = 1_000
LOOK_MS = 50
HASTEN_MS = 10
SPOUT_FIRST_MS = 100
"""What is due goes out before rows of acks and commands are written, for so long at most."""
TICKS_TO_LOOK = 5
"""A record that the stream skips with nothing after it (faust 596) is read from the log within so many seconds."""


class PartitionOwner:
    """Owns one partition from `run()` until it ends or is cancelled."""

    def __init__(
        self,
        *,
        partition: int,
        name: str,
        seat: Seat,
        mirror: Mirror,
        clock: Clock,
        lease: Lease,
        policy: Policy,
        home: Home,
        place: Place,
        watch: OwnerWatch,
        announce: Callable[[int], None],
        in_flight_max: int = 25_000,
        look_ahead_ms: int = 120_000,
        flows: Flows | None = None,
        schedules: ScheduleTable | None = None,
        load_order: LoadOrder | None = None,
    ) -> None:
        """`home`: the partition of a routing key; `place`: of a flow or id in `due.<channel>`.

        `announce` is told when the partition is caught up: `emit` is then to be called, once.
        """
        self.partition, self.name, self.seat, self.mirror = partition, name, seat, mirror
        self.clock, self.lease, self.watch = clock, lease, watch
        self.load_order = load_order or LoadOrder()
        near = NearWindows(place)
        self.spout = Spout(
            partition=partition, due=seat.due, mirror=mirror, near=near, clock=clock, lease=lease,
            in_flight_max=in_flight_max, look_ahead_ms=look_ahead_ms, tell=self._lapsed, landed=self._landed,
            watch=watch, flows=flows, gives_way=self._gives_way,
        )  # fmt: skip
        self.bell = asyncio.Event()
        self.inbox, recent = Inbox(), Recent()
        self.inputs = Inputs(
            partition=partition, seat=seat, home=home, clock=clock, spout=self.spout, inbox=self.inbox, bell=self.bell
        )
        self.commands, self.acks = self.inputs.commands, self.inputs.acks
        self.keeper: ScheduleKeeper | None = None
        if schedules is not None and seat.schedules is not None:
            self.keeper = ScheduleKeeper(schedules, seat.schedules, mirror, clock, policy, self.spout.marks, recent.of)
        self.windows = WindowTeller(partition, name, mirror, seat.windows, clock, watch)
        self.slots = GivenSlots(self.spout.flows, mirror, self.inbox, clock, self.bell.set)
        self.decider = Decider(
            partition=partition, seat=seat, mirror=mirror, clock=clock, policy=policy, home=home, watch=watch,
            near=near, spout=self.spout, inbox=self.inbox, inputs=self.inputs, windows=self.windows, recent=recent,
            keeper=self.keeper,
        )  # fmt: skip
        self.announce = announce
        self.stopping = False
        self.replays_end = 0
        self.settled = False
        """It ended in peace: nothing is under way, and the mirror holds all that it wrote."""

    # ---- what agents feed

    @property
    def ready(self) -> bool:
        """Whether it is caught up and has not let go."""
        return self.inputs.is_open

    def feed_commands(self, record: Stored, done: Callable[[], None]) -> None:
        """A record of `commands`, in the stream's order; `done` once its rows, events and answers are durable."""
        self.inputs.feed_commands(record, done)

    def feed_acks(self, record: Stored, done: Callable[[], None]) -> None:
        """A record of `acks`; `done` once what follows from it is durable."""
        self.inputs.feed_acks(record, done)

    def inherit(self, former: "PartitionOwner") -> None:
        """What a former owner in this process was fed and did not finish is told done by this one, before it runs."""
        self.inputs.inherit(former.inputs)

    def _gives_way(self, armed: Armed, now: int) -> str:
        return "" if self.keeper is None else self.keeper.gives_way(armed, now)

    def _lapsed(self, lapsed: Lapsed | Withheld | Released) -> None:
        self.inbox.put(Item(lapsed.id, lapsed))
        self.bell.set()

    def _landed(self, message_id: str) -> None:
        if self.inbox.wake(message_id):
            self.bell.set()

    # ---- its life

    async def run(self) -> None:
        """Take the partition over and keep it until `stop()`. Raises LostClaimError, LogBrokenError, NewerRecordError."""
        began = self.clock.now_ms()
        taken = await take_over(
            self.seat, self.partition, self.name, self.mirror, self.clock, self.watch, self.load_order
        )
        if self.keeper is not None:
            await self.keeper.begin(taken.epoch, self.name)
        self.spout.begin(taken.epoch, taken.horizon_ms)
        self.windows.begin(taken.epoch)
        self.decider.begin(taken)
        self.acks.start(self.mirror.acks)
        self.commands.start(self.mirror.commands)
        await self._acks_first()
        await self.commands.look()
        self.replays_end = self.commands.target
        self.inputs.is_open = True
        self.watch.recovered(self.partition, self.clock.now_ms() - began)
        self.announce(self.partition)
        try:
            await self._work()
            self.settled = True
        finally:
            self.inputs.is_open = False
            self.watch.let_go(self.partition)
            self.spout.end()

    async def emit(self) -> None:
        """Run the spout until the partition goes."""
        await self.spout.run()

    async def _work(self) -> None:
        await together(
            self._rounds(),
            self.spout.broke(),
            self._ticks(),
            self.inputs.rest_of_commands(),
            self.inputs.rest_of_acks(),
            self._hasten(),
            self.slots.run(),
        )

    async def _acks_first(self) -> None:
        """Acks to their end as it then stands, before commands and the spout (rule 6)."""
        await self.acks.look()
        async for record in self.acks.rest():
            self.inputs.take_acks(record)
            while self.inbox:
                await self.decider.round()

    async def _hasten(self) -> None:
        """While what is due waits for places in flight, acks are read from the log at once.

        An agent's event takes several turns of a busy loop: measured, 20,000 places came back in 2 s that way.
        """
        while True:
            await self.spout.starved.wait()
            self.spout.starved.clear()
            await self.acks.look()
            await self.clock.sleep_ms(HASTEN_MS)

    async def _rounds(self) -> None:
        began = 0
        while not (self.stopping and not self.spout.writer.writing()):
            wait = self._round_in_ms(began)
            if wait <= 0 and self._spout_first(-wait):
                await self.clock.sleep_ms(1)
            elif wait > 0:
                self.bell.clear()
                await self.clock.wait(self.bell, wait)
            else:
                began = self.clock.now_ms()
                await self.decider.round()

    def _spout_first(self, waited_ms: int) -> bool:
        """Whether the next round gives way to what is due: for long where it has nothing but acks."""
        if self.inbox.nobody_waits(self.clock.now_ms()):
            return self.spout.pressed()
        return waited_ms < SPOUT_FIRST_MS and self.spout.busy()

    def _round_in_ms(self, began: int) -> int:
        """When to look for the next round; 0 or less: now."""
        if self.stopping or not self.lease():
            return LOOK_MS
        assert self.decider.taken is not None
        wanted = self.inbox or self.decider.taken.timetable.voids
        return began + self.inbox.pace_ms() - self.clock.now_ms() if wanted else TICK_MS

    async def _ticks(self) -> None:
        """Each second: is the log still ours; which stubs are over; which emissions got no ack; what the stream left out."""
        assert self.decider.taken is not None
        timetable = self.decider.taken.timetable
        ticks = 0
        while True:
            await self.clock.sleep_ms(TICK_MS)
            if not self.lease():
                continue
            ticks += 1
            if ticks % TICKS_TO_LOOK == 0:
                await self.acks.look()
                await self.commands.look()
            if not self.spout.held:
                await timetable.check()
                if self.keeper is not None:
                    await self.keeper.check()
            self._tend()
            for message_id in self.mirror.to_forget(self.clock.now_ms(), FORGET_SLICE):
                self.inbox.put(Item(message_id, Forgotten(message_id)))
            again = self.spout.emit_again()
            if again:
                self.watch.overdue_acks(again)
            self.bell.set()
            await self.windows.tick(self._working())

    def _tend(self) -> None:
        """Schedules with something to do, unless there is enough to do already."""
        if self.keeper is None or self.commands.order.low < self.replays_end:
            return  # what a former owner answered is answered before anything else is made
        if not any(isinstance(item.given, Tend) for item in self.inbox.own):
            for item in self.keeper.to_tend(self.clock.now_ms()):
                self.inbox.put(item)

    def _working(self) -> Working:
        return Working(
            windows=self.spout.emissions.by_window(),
            in_flight=self.spout.in_flight(),
            waiting=self.spout.waiting(),
            paused={key: count for key, count in self.spout.paused.counts.items() if count},
            commands=len(self.inbox.commands),
            held=len(self.spout.held),
        )

    def stop(self) -> None:
        """Start nothing more; `run()` returns when what is under way is written."""
        self.stopping = True
        self.spout.stopping = True
        self.bell.set()

    async def close(self) -> None:
        """After `run()`: where it was stopped in peace, say how far all is done, so that the next owner replays nothing.

        Never after a write that was broken off: the mirror would count rows as applied that it does not have.
        """
        taken = self.decider.taken
        if self.settled and taken is not None and self.lease():
            await self.decider.append(Round(taken.epoch, self.partition))


async def together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run until one ends, then cancel the others; raises what the first to end raised."""
    tasks = [asyncio.create_task(p) for p in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
