"""The schedules of one timetable partition: they are decided by its owner, in its rounds, with its epoch.

In a round occurrences are written first, then the schedules' rows that commands changed, then events and answers, then
the rows whose cursors only moved. A crash between any two leaves the cursor behind, and what lies after it is found in
the timetable and taken in, not made again.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

from msgspec.structs import replace

from agents.claimed_log import ClaimedLog
from agents.inbox import Item
from agents.near_windows import Armed
from agents.ports import Change, Clock, Log, Mirror, ScheduleChange, ScheduleTable
from agents.round import Round
from agents.schedule_recovery import schedule_record, take_schedules, valid_schedule
from schemas.commands import Answer, Cancel, Edit, SendNow
from schemas.decide_occurrence import early, excepted, has_too_many_exceptions, turned_down, waits_for_resume
from schemas.decide_schedule import decide_schedule, needs_tending
from schemas.decisions import Asked, Forgotten, Mark, Policy
from schemas.ids import routing_key
from schemas.occurrence import MISSED_MARK, SKIPPED_MARK
from schemas.recurrence import nominal_text, occurrences
from schemas.rows import CLAIM_KEY, Remembered, Row
from schemas.schedule import Missed, Overlap
from schemas.schedule_commands import ScheduleList, ScheduleLook, ScheduleView, summary
from schemas.schedule_decisions import AskedSchedule, ScheduleDecision, Tend
from schemas.schedule_draft import ScheduleSeen
from schemas.schedule_rows import MANUAL, ScheduleRow, key_of, nominal_of
from schemas.times import at
from schemas.wire import encode

BEYOND_MAX = 5_000
TEND_SLICE = 500
ALWAYS = 2
LAST = "\U0010ffff"
Before = Literal["decide", "again", "answered"]
MADE_NOTHING: Mapping[str, Row | None] = MappingProxyType({})


def comes_after_tending(given: AskedSchedule | Tend, row: ScheduleRow | None) -> bool:
    """Whether an input changes a schedule: a look does not, nor does a replay, whose events the row still has."""
    if not isinstance(given, AskedSchedule) or isinstance(given.command, ScheduleLook):
        return False
    return row is None or row.answered(given.command.command_id) is None


class ScheduleKeeper:
    """What the owner's rounds ask about schedules; without a table there are none."""

    def __init__(
        self, table: ScheduleTable, log: Log, mirror: Mirror, clock: Clock, policy: Policy,
        marks: Callable[[Row], tuple[Mark, ...]], recent: Callable[[str], tuple[Remembered, ...]],
    ) -> None:  # fmt: skip
        """`marks` of an occurrence's deliveries; `recent`: answers about ids that begin so, which no row remembers."""
        self.table, self.log, self.mirror = table, log, mirror
        self.clock, self.policy, self.marks, self.recent = clock, policy, marks, recent
        self.claimed: ClaimedLog | None = None
        self.epoch = -1

    async def begin(self, epoch: int, owner: str) -> None:
        """Take the schedules over, after the timetable. Raises as take_over."""
        self.epoch = epoch
        self.claimed = await take_schedules(self.log, self.table, epoch, owner, self.clock)

    async def check(self) -> None:
        """Whether the log is still ours. Raises as ClaimedLog.check."""
        assert self.claimed is not None
        await self.claimed.check()

    # ---- what a round asks

    def to_tend(self, now: int) -> list[Item]:
        """Schedules with something to do."""
        return [Item(f"{sid}@", Tend(sid)) for sid in self.table.to_tend(now, TEND_SLICE)]

    def is_held_up(self, item: Item, made: Round) -> bool:
        """Whether its schedule, or an occurrence of it, is being written in this round."""
        if "@" not in item.id:
            return False
        family = routing_key(item.id)
        return family in made.tended or (isinstance(item.given, AskedSchedule) and family in made.touched)

    def decide(self, item: Item, given: AskedSchedule | Tend, made: Round, now: int) -> bool:
        """Take the decision into the round; False: a tending had to come first, it is to be asked again."""
        if isinstance(given, AskedSchedule) and isinstance(given.command, ScheduleList):
            made.answer(given, self._list(given.command))
            made.finished.append(item)
            return True
        schedule_id = routing_key(item.id)
        seen = self.seen(schedule_id)
        if comes_after_tending(given, seen.row) and needs_tending(seen.row, now):
            self._take(schedule_id, decide_schedule(seen, Tend(schedule_id), now, self.policy), made, cursor=True)
            return False
        decision = decide_schedule(seen, given, now, self.policy)
        self._take(schedule_id, decision, made, cursor=isinstance(given, Tend))
        if decision.answer is not None and isinstance(given, AskedSchedule):
            made.answer(given, self._with_view(decision, decision.answer, seen.row))
        made.finished.append(item)
        return True

    def before(self, item: Item, given: object, made: Round, now: int) -> Before:
        """What must come before a decision on an occurrence, or instead of it: then it is in the round."""
        if isinstance(given, Forgotten):
            return self._settled(routing_key(item.id), item, made, now)
        if isinstance(given, Asked) and isinstance(given.command, Cancel | Edit | SendNow):
            return self._before_its_turn(item, given, made, now)
        return "decide"

    def _settled(self, schedule_id: str, item: Item, made: Round, now: int) -> Before:
        """What became of an occurrence is noted before its stub is forgotten."""
        row = self.table.get(schedule_id)
        if row is None or key_of(item.id) not in row.open:
            return "decide"
        decision = decide_schedule(self.seen(schedule_id), Tend(schedule_id), now, self.policy)
        self._take(schedule_id, decision, made, cursor=True)
        return "again"

    def _before_its_turn(self, item: Item, asked: Asked, made: Round, now: int) -> Before:
        """An occurrence that is changed before it is made is made first."""
        schedule_id = routing_key(item.id)
        seen = self.seen(schedule_id)
        if seen.row is None:
            return "decide"
        command = asked.command
        assert isinstance(command, Cancel | Edit | SendNow)
        out = has_too_many_exceptions(seen.row, item.id) or waits_for_resume(seen, command, now)
        if self.mirror.get(item.id) is not None and seen.row.answered(command.command_id) is None and not out:
            return "decide"
        decision = None if out else early(seen, command, now, self.policy)
        if decision is not None and made.is_full:
            return "again"
        if decision is not None:
            made.unsaid.update((change.id, None) for change in decision.changes)
            self._take(schedule_id, decision, made, cursor=True)
            return "again"
        decision = turned_down(seen, asked, now, self.policy)
        self._take(schedule_id, decision, made, cursor=False)
        if decision.answer is not None:
            made.answer(asked, decision.answer)
        made.finished.append(item)
        return "answered"

    def note(self, item: Item, row: Row | None, made: Round, now: int, *, cancelled: bool) -> None:
        """After a command on an occurrence: its schedule remembers what is otherwise about it."""
        if row is None or row.message.occurrence is None:
            return
        schedule_id = routing_key(item.id)
        decision = excepted(self.seen(schedule_id), row, now, self.policy, cancelled=cancelled)
        if decision is not None:
            self._take(schedule_id, decision, made, cursor=False)

    def seen(self, schedule_id: str) -> ScheduleSeen:
        """A schedule and what lies of its occurrences in the timetable after its cursor."""
        row = self.table.get(schedule_id)
        beyond: list[str] = []
        if row is not None:
            start = f"{schedule_id}@{nominal_text(row.through)}"
            beyond = [i for i in self.mirror.ids(start, f"{schedule_id}@{LAST}", BEYOND_MAX) if i > start]
        return ScheduleSeen(
            row=row, get=self._get, recent=self.recent, beyond=tuple(beyond), epoch=self.epoch,
            foretold=self.recent(f"{schedule_id}@") if row is None or row.removed else (),
            progress=self.mirror.commands,
        )  # fmt: skip

    def _get(self, message_id: str) -> tuple[Row, tuple[Mark, ...]] | None:
        row = self.mirror.get(message_id)
        return None if row is None else (row, self.marks(row))

    def _take(self, schedule_id: str, decision: ScheduleDecision, made: Round, *, cursor: bool) -> None:
        for change in decision.changes:
            made.ids.add(change.id)
            value = None if change.row is None else encode(change.row)
            made.changes.append(Change(change.id, change.old, change.row, value))
        if decision.row is not None or decision.forget:
            made.tended.add(schedule_id)
            value = None if decision.row is None else encode(decision.row)
            (made.cursors if cursor else made.schedules).append(ScheduleChange(schedule_id, decision.row, value))
        made.tell_events(decision.events)

    def _with_view(self, decision: ScheduleDecision, answer: Answer, before: ScheduleRow | None) -> Answer:
        """An accepted change tells how the schedule now stands."""
        row = decision.row or before
        if answer.result != "accepted" or row is None:
            return answer
        made = {change.id: change.row for change in decision.changes}
        return replace(answer, schedule=self._summary(row, made))

    def _list(self, command: ScheduleList) -> Answer:
        rows = self.table.after(command.after, command.limit)
        return Answer(
            command_id=command.command_id, id=command.id, result="found",
            schedules=tuple(self._summary(row) for row in rows if not row.removed),
            detail=rows[-1].id if len(rows) == command.limit else "",
        )  # fmt: skip

    def _summary(self, row: ScheduleRow, made: Mapping[str, Row | None] = MADE_NOTHING) -> ScheduleView:
        found = (made.get(i) or self.mirror.get(i) for i in map(row.id_of, row.open))
        due = min((r.message.due_at for r in found if r is not None and not r.finished), default=None)
        return summary(row, next_due_at=due)

    # ---- writing

    async def write(self, changes: list[ScheduleChange]) -> None:
        """Rows into the log, then into the table. Raises as ClaimedLog.append."""
        assert self.claimed is not None
        await self.claimed.append([schedule_record(change, self.epoch) for change in changes])
        self.table.apply(changes, self.claimed.next)

    def repairs(self, made: Round) -> None:
        """A former owner wrote over rows: write the valid ones again (`continuity`, `repair`)."""
        assert self.claimed is not None
        for schedule_id in self.claimed.take_void():
            if schedule_id not in made.tended and schedule_id != CLAIM_KEY:
                made.tended.add(schedule_id)
                made.schedules.append(valid_schedule(self.table, schedule_id, self.epoch))

    # ---- what the spout asks

    def gives_way(self, armed: Armed, now: int) -> str:
        """Why an occurrence that is due does not begin; empty: it does."""
        late = now - armed.due_ms > self.policy.late_ms
        if armed.watched < ALWAYS and not late:
            return ""
        row, key = self.table.get(routing_key(armed.id)), key_of(armed.id)
        nominal = nominal_of(key)
        if row is None or nominal is None or key.endswith(MANUAL):
            return ""
        definition = row.definition
        if definition.missed is Missed.LATEST and late:
            later = next(occurrences(definition, row.id, nominal, 0), None)
            if later is not None and later.nominal <= at(now):
                return f"{MISSED_MARK}only the latest runs"
        if definition.overlap is Overlap.SKIP:
            for other in row.open:
                at_, found = nominal_of(other), self.mirror.get(row.id_of(other))
                if at_ is not None and at_ < nominal and found is not None and not found.finished:
                    return f"{SKIPPED_MARK}{found.id} is not finished"
        return ""
