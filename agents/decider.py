"""The rounds of an owner: a slice of its inbox is decided, made durable, then visible, then finished (rule 1)."""

import asyncio
from collections import Counter

from agents.inbox import Inbox, Item, Stray
from agents.inputs import Inputs
from agents.near_windows import NearWindows
from agents.ports import Change, Clock, Home, Mirror, OwnerWatch, Seat
from agents.recent import Recent
from agents.recovery import Taken, valid_row
from agents.round import Round
from agents.schedule_keeper import Before, ScheduleKeeper
from agents.spout import Spout
from agents.window_teller import WindowTeller
from schemas.commands import Answer, Cancel
from schemas.decide import decide
from schemas.decisions import Asked, Given, Policy, Seen, Unsaid, Wait
from schemas.events import Unreadable
from schemas.ids import routing_key
from schemas.rows import Row
from schemas.schedule_decisions import AskedSchedule, Tend

TURN = 20
QUIET_MS = 100
"""Nothing is due within so long: a round may be a large one."""
PASSED_ON = (Stray, Unreadable)
OF_SCHEDULES = (AskedSchedule, Tend)


class Decider:
    """Alone in calling `decide`, and in writing rows."""

    def __init__(
        self,
        *,
        partition: int,
        seat: Seat,
        mirror: Mirror,
        clock: Clock,
        policy: Policy,
        home: Home,
        watch: OwnerWatch,
        near: NearWindows,
        spout: Spout,
        inbox: Inbox,
        inputs: Inputs,
        windows: WindowTeller,
        recent: Recent,
        keeper: ScheduleKeeper | None,
    ) -> None:
        """`begin` before the first round."""
        self.partition, self.seat, self.mirror, self.clock = partition, seat, mirror, clock
        self.policy, self.home, self.watch, self.windows = policy, home, watch, windows
        self.near, self.spout, self.inbox, self.inputs = near, spout, inbox, inputs
        self.recent, self.keeper = recent, keeper
        self.taken: Taken | None = None
        self.to_tell: dict[str, None] = {}
        """Ids of which a former owner may not have told all: named in each Progress until they are told."""

    def begin(self, taken: Taken) -> None:
        """Under this claim; what a former owner may have left unsaid is said first."""
        self.taken = taken
        self.to_tell = dict.fromkeys(self.mirror.unsaid)
        for message_id in self.to_tell:
            self.inbox.put(Item(message_id, Unsaid(message_id)))

    async def round(self) -> None:
        """Decide a slice and make it durable, then visible, then finished."""
        assert self.taken is not None
        now = self.clock.now_ms()
        made = Round(self.taken.epoch, self.partition)
        self.spout.hold(made.ids)
        self.inputs.open_commands()
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
            recent=self.recent.of(item.id),
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
            self.recent.add(item.id, decision.remember)
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
        await self.append(made)
        for n, change in enumerate(made.changes, 1):
            self._written(change)
            if n % TURN == 0:
                await asyncio.sleep(0)

    async def append(self, made: Round) -> None:
        """Into log and mirror. What a former owner left unsaid is named again until it is told."""
        assert self.taken is not None
        made.unsaid.update(self.to_tell)
        commands, acks = self.inputs.commands.order.low, self.inputs.acks.order.low
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
        self.recent.drop(change.id)
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
        self.recent.drop_below(self.mirror.commands)
        for (kind, channel), count in made.kinds.items():
            self.watch.decided(kind, channel, count)
            self.windows.decided(kind, channel, count)
        self.inputs.room.set()
