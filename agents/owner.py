"""The one owner of a timetable partition: an inbox around `decide` (DESIGN section 3, rules 1 to 7).

The agents feed it, the spout asks it, nothing else touches the partition. A round is: take a slice of the inbox,
decide, write the rows and await them, take them into mirror and memory, publish events and answers and await them,
finish the sources. Rounds follow each other, so a crash leaves at most one round's events to be published again.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from typing import Any, assert_never

from agents.flows import Flows
from agents.given_slots import GivenSlots
from agents.inbox import Inbox, Item, Stray
from agents.load_order import LoadOrder
from agents.near_windows import Armed, NearWindows, Place
from agents.ports import Change, Clock, Home, Lease, Mirror, OwnerWatch, ScheduleTable, Seat, Stored
from agents.recovery import Taken, take_over, valid_row
from agents.round import Round
from agents.schedule_keeper import Before, ScheduleKeeper
from agents.source import Source
from agents.spout import Spout
from agents.window_teller import WindowTeller, Working
from schemas.commands import Answer, Cancel, Create
from schemas.decide import decide
from schemas.decide_schedule import AskedSchedule, Tend
from schemas.decisions import Acked, Asked, Forgotten, Given, Lapsed, Policy, Released, Seen, Unsaid, Wait, Withheld
from schemas.events import Unreadable
from schemas.ids import routing_key
from schemas.rows import Remembered, Row
from schemas.schedule_commands import ScheduleCommand
from schemas.times import at
from schemas.wire import Fault, NewerRecordError, UnreadableError, read_acks, read_commands

COMMANDS_HELD_MAX = 4_000
UNREAD_BYTES_MAX = 16 * 1024 * 1024
"""Of commands not decoded yet: what is more is read from the log once more, when there is room."""
ACKS_HELD_MAX = 50_000
FORGET_SLICE = 500
TICK_MS = 1_000
LOOK_MS = 50
TURN = 20
HASTEN_MS = 10
SPOUT_FIRST_MS = 100
"""What is due goes out before rows of acks and commands are written, for so long at most."""
QUIET_MS = 100
"""Nothing is due within so long: a round may be a large one."""
TICKS_TO_LOOK = 5
"""A record that the stream skips with nothing after it (faust 596) is read from the log within so many seconds."""
ROUTED_HEADER = "clepsydra-routed"
PASSED_ON = (Stray, Unreadable)
OF_SCHEDULES = (AskedSchedule, Tend)


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
        self.clock, self.lease, self.policy, self.home, self.watch = clock, lease, policy, home, watch
        self.load_order = load_order or LoadOrder()
        self.near = NearWindows(place)
        self.spout = Spout(
            partition=partition, due=seat.due, mirror=mirror, near=self.near, clock=clock, lease=lease,
            in_flight_max=in_flight_max, look_ahead_ms=look_ahead_ms, tell=self._lapsed, landed=self._landed,
            watch=watch, flows=flows, gives_way=self._gives_way,
        )  # fmt: skip
        self.keeper: ScheduleKeeper | None = None
        if schedules is not None and seat.schedules is not None:
            self.keeper = ScheduleKeeper(
                schedules, seat.schedules, mirror, clock, policy, self.spout.marks, self._recent
            )
        self.windows = WindowTeller(partition, name, mirror, seat.windows, clock, watch)
        self.inbox = Inbox()
        self.recent: dict[str, list[Remembered]] = {}
        self.recent_order: deque[tuple[int, str]] = deque()
        self.to_tell: dict[str, None] = {}
        """Ids of which a former owner may not have told all: named in each Progress until they are told."""
        self.bell = asyncio.Event()
        self.slots = GivenSlots(self.spout.flows, mirror, self.inbox, clock, self.bell.set)
        self.room = asyncio.Event()
        self.commands = Source(seat.commands)
        self.acks = Source(seat.acks)
        self.unread: deque[Stored] = deque()
        self.unread_bytes = 0
        self.announce = announce
        self.taken: Taken | None = None
        self.ready = False
        self.stopping = False
        self.replays_end = 0
        self.settled = False
        """It ended in peace: nothing is under way, and the mirror holds all that it wrote."""

    # ---- what agents feed

    def feed_commands(self, record: Stored, done: Callable[[], None]) -> None:
        """A record of `commands`, in the stream's order; `done` once its rows, events and answers are durable."""
        if self.commands.offer(record.offset, done, room=self.ready and self.unread_bytes < UNREAD_BYTES_MAX):
            self.queue_commands(record)

    def feed_acks(self, record: Stored, done: Callable[[], None]) -> None:
        """A record of `acks`; `done` once what follows from it is durable."""
        if self.acks.offer(record.offset, done, room=self.ready and len(self.inbox.acks) < ACKS_HELD_MAX):
            self.take_acks(record)

    def inherit(self, former: "PartitionOwner") -> None:
        """What a former owner in this process was fed and did not finish is told done by this one, before it runs."""
        self.commands.inherit(former.commands)
        self.acks.inherit(former.acks)

    def queue_commands(self, record: Stored) -> None:
        """A record of commands waits as bytes, a quarter of what they take decoded."""
        self.unread.append(record)
        self.unread_bytes += len(record.value or b"")
        self._open_commands()
        self.bell.set()

    def _open_commands(self) -> None:
        while self.unread and len(self.inbox.commands) < COMMANDS_HELD_MAX:
            record = self.unread.popleft()
            self.unread_bytes -= len(record.value or b"")
            self.take_commands(record)

    def take_commands(self, record: Stored) -> None:
        """Queue a record's commands; what is none, or belongs elsewhere, too."""
        found = read_commands(record.value)
        self.commands.order.begin(record.offset, len(found), self.commands.tell)
        routed = (ROUTED_HEADER, b"%d" % self.seat.partitions) in record.headers
        for n, command in enumerate(found):
            given: Asked | AskedSchedule | Stray | Unreadable
            if routed and isinstance(command, Create):
                given = Asked(command, record.offset, record.at_ms)
                self.inbox.commands.append(Item(command.message.id, given, self.commands, record.offset))
                continue
            if isinstance(command, Fault):
                given = self._unreadable("commands", record, command, n)
            elif not routed and (home := self.home(routing_key(command.id))) != self.partition:
                given = Stray(command, home)
            elif isinstance(command, ScheduleCommand):
                given = AskedSchedule(command, record.offset, record.at_ms)
            else:
                given = Asked(command, record.offset, record.at_ms)
            self.inbox.put(Item(_name(given), given, self.commands, record.offset))

    def take_acks(self, record: Stored) -> None:
        """Queue a record's acks; their places in flight are free from now on."""
        try:
            found = read_acks(record.value or b"")
        except NewerRecordError as error:
            self.spout.fail(error)  # an agent's body that raised would ack its event and go on (rule 8)
        except UnreadableError as error:
            fault = self._unreadable("acks", record, Fault("", str(error), "only couriers write here"), None)
            self.acks.order.begin(record.offset, 1, self.acks.tell)
            self.inbox.put(Item("", fault, self.acks, record.offset))
        else:
            self.acks.order.begin(record.offset, len(found), self.acks.tell)
            for ack in found:
                self.spout.came_back(ack)
            self.inbox.put_acks(
                [Item(ack.id, Acked(ack), self.acks, record.offset) for ack in found], self.clock.now_ms()
            )
        self.bell.set()

    def _unreadable(self, topic: str, record: Stored, fault: Fault, element: int | None) -> Unreadable:
        return Unreadable(
            topic=topic, partition=self.partition, offset=record.offset, element=element, at=at(record.at_ms),
            fault=fault.problem, field=fault.field, remedy=fault.remedy,
            value=None if record.value is None else record.value[:4096].decode(errors="replace"),
        )  # fmt: skip

    def _recent(self, message_id: str) -> tuple[Remembered, ...]:
        """About one occurrence, or with `@` at the end about any of a schedule."""
        if not message_id.endswith("@"):
            return tuple(self.recent.get(message_id, ()))
        return tuple(note for i, notes in self.recent.items() if i.startswith(message_id) for note in notes)

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
        self.taken = await take_over(
            self.seat, self.partition, self.name, self.mirror, self.clock, self.watch, self.load_order
        )
        if self.keeper is not None:
            await self.keeper.begin(self.taken.epoch, self.name)
        self.spout.begin(self.taken.epoch, self.taken.horizon_ms)
        self.windows.begin(self.taken.epoch)
        self.to_tell = dict.fromkeys(self.mirror.unsaid)
        for message_id in self.to_tell:
            self.inbox.put(Item(message_id, Unsaid(message_id)))
        self.acks.start(self.mirror.acks)
        self.commands.start(self.mirror.commands)
        await self._acks_first()
        await self.commands.look()
        self.replays_end = self.commands.target
        self.ready = True
        self.watch.recovered(self.partition, self.clock.now_ms() - began)
        self.announce(self.partition)
        try:
            await self._work()
            self.settled = True
        finally:
            self.ready = False
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
            self._read(self.commands, self.queue_commands),
            self._read(self.acks, self.take_acks),
            self._hasten(),
            self.slots.run(),
        )

    async def _acks_first(self) -> None:
        """Acks to their end as it then stands, before commands and the spout (rule 6)."""
        await self.acks.look()
        async for record in self.acks.rest():
            self.take_acks(record)
            while self.inbox:
                await self.round()

    async def _read(self, source: Source, take: Callable[[Stored], None]) -> None:
        """Read from the log what the stream did not bring, as there is room."""
        while True:
            await source.fell_behind.wait()
            async for record in source.rest():
                take(record)
                while self.unread_bytes > UNREAD_BYTES_MAX or len(self.inbox.acks) > ACKS_HELD_MAX:
                    self.room.clear()
                    await self.room.wait()

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
        while not (self.stopping and not self.spout.writing()):
            wait = self._round_in_ms(began)
            if wait <= 0 and self._spout_first(-wait):
                await self.clock.sleep_ms(1)
            elif wait > 0:
                self.bell.clear()
                await self.clock.wait(self.bell, wait)
            else:
                began = self.clock.now_ms()
                await self.round()

    def _spout_first(self, waited_ms: int) -> bool:
        """Whether the next round gives way to what is due: for long where it has nothing but acks."""
        if self.inbox.nobody_waits(self.clock.now_ms()):
            return self.spout.pressed()
        return waited_ms < SPOUT_FIRST_MS and self.spout.busy()

    def _round_in_ms(self, began: int) -> int:
        """When to look for the next round; 0 or less: now."""
        if self.stopping or not self.lease():
            return LOOK_MS
        assert self.taken is not None
        wanted = self.inbox or self.taken.timetable.voids
        return began + self.inbox.pace_ms() - self.clock.now_ms() if wanted else TICK_MS

    async def _ticks(self) -> None:
        """Each second: is the log still ours; which stubs are over; which emissions got no ack; what the stream left out."""
        assert self.taken is not None
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
                await self.taken.timetable.check()
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
            windows=self.spout.in_flight_by_window(),
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

    # ---- a round

    async def round(self) -> None:
        """Decide a slice and make it durable, then visible, then finished."""
        assert self.taken is not None
        now = self.clock.now_ms()
        made = Round(self.taken.epoch, self.partition)
        self.spout.hold(made.ids)
        self._open_commands()
        await self.decide_all(self.inbox.slice(quiet=self.spout.pause_ms() >= QUIET_MS), made, now)
        for message_id in self.taken.timetable.take_void():
            self._repair(message_id, made)
        if self.keeper is not None:
            self.keeper.repairs(made)
        if made.changes:
            await self.write(made)
        if made.schedules and self.keeper is not None:
            await self.keeper.write(made.schedules)
        self.spout.let_go()
        await made.tell(self.seat)
        if made.cursors and self.keeper is not None:
            await self.keeper.write(made.cursors)
        self.finish(made)

    async def decide_all(self, items: list[Item], made: Round, now: int) -> None:
        """One decision per message and round: a second input on a message waits for the next.

        Gives way every few decisions: what a herd's way goes over many turns of the loop, each no longer than this.
        What is decided meanwhile is held from the spout.
        """
        later: list[Item] = []
        for start in range(0, len(items), TURN):
            if start:
                await asyncio.sleep(0)
            turn = items[start : start + TURN]
            rows = self.mirror.get_all([item.id for item in turn])
            for item in turn:
                if item.id in made.ids and not isinstance(item.given, PASSED_ON):
                    later.append(item)
                elif "@" not in item.id and isinstance(item.given, Asked) and not self.inbox.waiting:
                    self._decide(item, item.given, rows, made, now)
                elif not self._decide_any(item, rows, made, now):
                    later.append(item)
        self.inbox.put_back(later)

    def _decide_any(self, item: Item, rows: dict[str, Row], made: Round, now: int) -> bool:
        """What may be part of a schedule, or have to wait, or be none of ours; False: it is for the next round."""
        given = item.given
        if isinstance(given, PASSED_ON):
            made.pass_on(given)
            made.finished.append(item)
        elif made.is_full_for(item) or (self.keeper is not None and self.keeper.is_held_up(item, made)):
            return False
        elif self.inbox.must_queue(item):
            self.inbox.wait(item)
        elif isinstance(given, OF_SCHEDULES):
            return self._decide_schedule(item, given, made, now)
        elif (before := self._before(item, given, made, now)) == "decide":
            self._decide(item, given, rows, made, now)
        else:
            return before != "again"
        return True

    def _before(self, item: Item, given: Given, made: Round, now: int) -> Before:
        if self.keeper is None or "@" not in item.id:
            return "decide"
        return self.keeper.before(item, given, made, now)

    def _decide_schedule(self, item: Item, given: AskedSchedule | Tend, made: Round, now: int) -> bool:
        """False: it is to be asked again."""
        if self.keeper is not None:
            return self.keeper.decide(item, given, made, now)
        assert isinstance(given, AskedSchedule)
        command = given.command
        detail = "this owner keeps no schedules"
        made.answer(given, Answer(command_id=command.command_id, id=command.id, result="refused", detail=detail))
        made.finished.append(item)
        return True

    def _decide(self, item: Item, given: Given, rows: dict[str, Row], made: Round, now: int) -> None:
        row = rows.get(item.id)
        seen = Seen(
            row=row,
            marks=() if row is None else self.spout.marks(row),
            recent=tuple(self.recent.get(item.id, ())),
            epoch=made.epoch,
            progress=self.mirror.commands,
        )
        decision = decide(seen, given, now, self.policy)
        if isinstance(decision, Wait):
            self.inbox.wait(item)
            return
        if decision.writes:
            made.ids.add(item.id)
        elif decision.remember is not None:
            self.recent.setdefault(item.id, []).append(decision.remember)
            self.recent_order.append((decision.remember.offset, item.id))
        made.take(item, row, decision)
        if self.keeper is not None and "@" in item.id and isinstance(given, Asked):
            answer = decision.answer
            cancelled = isinstance(given.command, Cancel) and answer is not None and answer.result == "cancelled"
            self.keeper.note(item, decision.row if decision.writes else row, made, now, cancelled=cancelled)
        for command in decision.announce:
            made.forward(Stray(command, self.home(routing_key(command.id))))

    def _repair(self, message_id: str, made: Round) -> None:
        """A former owner wrote over this row: write the valid one again (`continuity`, `repair`)."""
        if message_id not in made.ids and not message_id.startswith("!"):
            made.ids.add(message_id)
            made.changes.append(valid_row(self.mirror, message_id, made.epoch))
            self.watch.zombie_rows(1)

    async def write(self, made: Round) -> None:
        """Rows into the log, held from the spout meanwhile; then into mirror and memory."""
        await self._append(made)
        for n, change in enumerate(made.changes, 1):
            self._written(change)
            if n % TURN == 0:
                await asyncio.sleep(0)

    async def _append(self, made: Round) -> None:
        """Into log and mirror. What a former owner left unsaid is named again until it is told."""
        assert self.taken is not None
        made.unsaid.update(self.to_tell)
        commands, acks = self.commands.order.low, self.acks.order.low
        await self.taken.timetable.append(made.records(commands, acks))
        self.mirror.commands, self.mirror.acks, self.mirror.unsaid = commands, acks, tuple(made.unsaid)
        self._keep_voids(made)
        self.mirror.apply(made.changes, self.taken.timetable.next)

    def _keep_voids(self, made: Round) -> None:
        """What was found void lies below `applied` from now on: whoever has this disk next must know what to repair."""
        assert self.taken is not None
        self.mirror.voids.difference_update(made.ids)
        self.mirror.voids.update(key for key in self.taken.timetable.voids if not key.startswith("!"))

    def _written(self, change: Change) -> None:
        self.near.update(change)
        self.recent.pop(change.id, None)
        if change.row is not None:
            self.spout.settle(change.row)
        self.inbox.wake(change.id)

    def finish(self, made: Round) -> None:
        """All of this round is durable and told."""
        for (source, offset), count in Counter((item.source, item.offset) for item in made.finished).items():
            if source is not None:
                source.order.finish(offset, count)
        for item in made.finished if self.to_tell else ():
            if isinstance(item.given, Unsaid):
                del self.to_tell[item.id]
        while self.recent_order and self.recent_order[0][0] < self.mirror.commands:
            self._forget_recent(*self.recent_order.popleft())
        for (kind, channel), count in made.kinds.items():
            self.watch.decided(kind, channel, count)
            self.windows.decided(kind, channel, count)
        self.room.set()

    def _forget_recent(self, offset: int, message_id: str) -> None:
        kept = [note for note in self.recent.pop(message_id, ()) if note.offset > offset]
        if kept:
            self.recent[message_id] = kept

    async def close(self) -> None:
        """After `run()`: where it was stopped in peace, say how far all is done, so that the next owner replays nothing.

        Never after a write that was broken off: the mirror would count rows as applied that it does not have.
        """
        if self.settled and self.taken is not None and self.lease():
            await self._append(Round(self.taken.epoch, self.partition))


def _name(given: Asked | AskedSchedule | Stray | Unreadable) -> str:
    """What inputs are kept in order by: a message's id, or a schedule's with the mark that no message's has."""
    match given:
        case Unreadable():
            return ""
        case AskedSchedule(command):
            return f"{command.id}@"
        case Asked(command) | Stray(command):
            return command.id
        case _:
            assert_never(given)


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
