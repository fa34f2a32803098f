"""One owner's schedules over months: the product's decisions, its keeper, a clock that is set, and restarts in between.

Kafka is two dicts here. A restart comes between any two writes: what was decided and not written is lost.
"""

import random
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import msgspec
from sim_stores import SimMirror, SimSchedules

from agents.near_windows import NearWindows
from agents.ports import Change, Due, ScheduleChange
from agents.schedule_keeper import ScheduleKeeper
from schemas.commands import Answer, Cancel, Edit
from schemas.decide import decide
from schemas.decide_occurrence import early, excepted, turned_down, waits_for_resume
from schemas.decide_schedule import decide_schedule, needs_tending
from schemas.decisions import Acked, Asked, Forgotten, Lapsed, Mark, Policy, Seen, Withheld
from schemas.ids import routing_key
from schemas.lifecycle import LIVE
from schemas.message import Changes
from schemas.outcomes import Ack, Delivered
from schemas.rows import Row
from schemas.schedule import NewDefinition
from schemas.schedule_commands import SchedulePut
from schemas.schedule_decisions import AskedSchedule, ScheduleDecision, Tend
from schemas.schedule_rows import key_of, tend_ms
from schemas.times import at, ms_of

HOUR, DAY = 3_600_000, 24 * 3_600_000
LOOK_AHEAD_MS = 600_000


class RestartError(Exception):
    """The process dies here."""


class FastMirror(SimMirror):
    """With the ids of each schedule at hand."""

    def __init__(self) -> None:
        super().__init__()
        self.by_schedule: dict[str, set[str]] = defaultdict(set)
        self.live: list[Due] = []
        self.over: list[tuple[int, str]] = []

    def apply(self, changes: Any, applied: int) -> None:
        for change in changes:
            of = self.by_schedule[routing_key(change.id)]
            for due in dues_of(self.table.get(change.id)):
                del self.live[bisect_left(self.live, due)]
            for due in dues_of(change.row):
                insort(self.live, due)
            if change.row is None:
                self.table.pop(change.id, None)
                of.discard(change.id)
            else:
                self.table[change.id] = change.row
                of.add(change.id)
                if change.row.forget_at is not None:
                    heappush(self.over, (ms_of(change.row.forget_at), change.id))
        self.applied = applied

    def due_from(self, after: Due | None, until_ms: int, limit: int) -> list[Due]:
        start = 0 if after is None else bisect_right(self.live, after)
        return self.live[start : bisect_right(self.live, Due(until_ms + 1, "", 0))][:limit]

    def to_forget(self, now_ms: int, limit: int) -> list[str]:
        """Each once: what dies before it is done is still there, and is pushed again."""
        found: dict[str, int] = {}
        while self.over and self.over[0][0] <= now_ms and len(found) < limit:
            when, message_id = heappop(self.over)
            row = self.table.get(message_id)
            if row is not None and row.forget_at is not None and ms_of(row.forget_at) == when:
                found[message_id] = when
        for message_id, when in found.items():
            heappush(self.over, (when, message_id))
        return list(found)

    def ids(self, start: str, end: str, limit: int) -> list[str]:
        return sorted(i for i in self.by_schedule[routing_key(start)] if start <= i < end)[:limit]


def dues_of(row: Row | None) -> list[Due]:
    """Its live deliveries in the index."""
    return [] if row is None else [Due(ms_of(d.due_at), row.id, d.target) for d in row.deliveries if d.state in LIVE]


class FastSchedules(SimSchedules):
    """With a heap of when there is something to do."""

    def __init__(self) -> None:
        super().__init__()
        self.heap: list[tuple[int, str]] = []
        self.when: dict[str, int | None] = {}

    def apply(self, changes: Any, applied: int) -> None:
        super().apply(changes, applied)
        for change in changes:
            when = self.when[change.id] = None if change.row is None else tend_ms(change.row)
            if when is not None:
                heappush(self.heap, (when, change.id))

    def next_ms(self) -> int | None:
        while self.heap:
            when, schedule_id = self.heap[0]
            if self.when[schedule_id] == when:
                return when
            heappop(self.heap)
        return None

    def to_tend(self, now_ms: int, limit: int) -> list[str]:
        found: dict[str, None] = {}
        while (when := self.next_ms()) is not None and when <= now_ms:
            found[heappop(self.heap)[1]] = None
        for schedule_id in found:  # still to be done, should the process die before it is
            heappush(self.heap, (self.when[schedule_id], schedule_id))
        return list(found)[:limit]


@dataclass
class NightShift:
    seed: int
    restarts: float = 0.0
    """How likely each write is the last before a restart."""
    policy: Policy = field(default_factory=lambda: Policy(delays_ms={"log": (5_000,)}, horizon_ms=300_000))
    now_ms: int = 1_790_000_040_000 // DAY * DAY

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.mirror, self.table = FastMirror(), FastSchedules()
        self.keeper = ScheduleKeeper(
            self.table,
            None,
            self.mirror,
            None,
            self.policy,
            lambda row: (Mark.FREE,) * len(row.deliveries),
            lambda _: (),
        )
        self.begin()
        self.offset = 100
        self.sent: Counter[str] = Counter()
        self.sent_at: dict[str, int] = {}
        self.events: Counter[tuple[str, str]] = Counter()
        self.restarted = 0

    def begin(self) -> None:
        """A process starts: what is due soon is read from the disk."""
        self.near = NearWindows(lambda *_: 0, bytes_max=0)
        self.arm()

    def arm(self) -> None:
        """As the spout does: what is due within the look-ahead."""
        until = Due(self.now_ms + LOOK_AHEAD_MS, "\U0010ffff", 0)
        for due in self.mirror.due_from(self.near.horizon, until.due_ms, 1_000_000):
            self.near.arm_one(self.mirror.table[due.id], due.target)
        self.near.horizon = until

    # ---- writes

    def may_restart(self) -> None:
        if self.restarts and self.random.random() < self.restarts:
            self.restarted += 1
            raise RestartError

    def write_rows(self, changes: list[Change]) -> None:
        if changes:
            self.mirror.apply(changes, 0)
            for change in changes:
                self.near.update(change)
            self.may_restart()

    def write_schedule(self, schedule_id: str, decision: ScheduleDecision) -> None:
        self.write_rows([Change(c.id, c.old, c.row, None) for c in decision.changes])
        for event in decision.events:
            self.events[event.kind, event.id] += 1
        if decision.row is not None or decision.forget:
            self.table.apply([ScheduleChange(schedule_id, decision.row, b"")], 0)
            self.may_restart()

    # ---- inputs

    def ask(self, command: Any) -> Answer:
        """Asked until it is answered, whatever dies meanwhile."""
        self.offset += 1
        offset, asked_ms = self.offset, self.now_ms
        while True:
            try:
                return self._ask(command, offset, asked_ms)
            except RestartError:
                self.begin()

    def _ask(self, command: Any, offset: int, asked_ms: int) -> Answer:
        if "@" in command.id:
            return self._occurrence(command, offset, asked_ms)
        while needs_tending(self.table.get(command.id), self.now_ms):
            self.tend(command.id)
        seen = self.keeper.seen(command.id)
        decision = decide_schedule(seen, AskedSchedule(command, offset, asked_ms), self.now_ms, self.policy)
        self.write_schedule(command.id, decision)
        assert decision.answer is not None
        return decision.answer

    def _occurrence(self, command: Any, offset: int, asked_ms: int) -> Answer:
        schedule_id = routing_key(command.id)
        seen = self.keeper.seen(schedule_id)
        if waits_for_resume(seen, command, self.now_ms):
            return self._turned_down(seen, Asked(command, offset, asked_ms))
        if self.mirror.get(command.id) is None:
            made = early(seen, command, self.now_ms, self.policy)
            if made is not None:
                self.write_schedule(schedule_id, made)
        row = self.mirror.get(command.id)
        decision = decide(Seen(row=row), Asked(command, offset, asked_ms), self.now_ms, self.policy)
        if decision.writes:
            self.write_rows([Change(command.id, row, decision.row, None)])
        after = self.mirror.get(command.id)
        if after is not None:
            gone = isinstance(command, Cancel) and decision.answer.result == "cancelled"
            noted = excepted(self.keeper.seen(schedule_id), after, self.now_ms, self.policy, cancelled=gone)
            if noted is not None:
                self.write_schedule(schedule_id, noted)
        return decision.answer

    def _turned_down(self, seen: Any, asked: Asked) -> Answer:
        decision = turned_down(seen, asked, self.now_ms, self.policy)
        self.write_schedule(seen.row.id, decision)
        assert decision.answer is not None
        return decision.answer

    def tend(self, schedule_id: str) -> None:
        self.write_schedule(
            schedule_id, decide_schedule(self.keeper.seen(schedule_id), Tend(schedule_id), self.now_ms, self.policy)
        )

    # ---- time

    def next_ms(self) -> int:
        """When there is something to do, or to arm."""
        tend, due = self.table.next_ms(), self.near.next_due_ms()
        return min(when for when in (tend, due, self.near.horizon.due_ms) if when is not None)

    def work(self, to_ms: int) -> None:
        """All that is to be done up to an instant, at its time."""
        while (when := self.next_ms()) <= to_ms:
            self.now_ms = max(self.now_ms, when)
            try:
                self.do_now()
            except RestartError:
                self.begin()
        self.now_ms = max(self.now_ms, to_ms)

    def do_now(self) -> None:
        if self.near.horizon.due_ms <= self.now_ms:
            self.arm()
        for schedule_id in self.table.to_tend(self.now_ms, 10_000):
            self.tend(schedule_id)
        for group in list(self.near.due(self.now_ms, 100_000)):
            for armed in reversed(group.waiting):
                self.emit(armed)

    def emit(self, armed: Any) -> None:
        row = self.mirror.get(armed.id)
        if row is None or row.deliveries[armed.target].state not in LIVE:
            return
        if armed.expires_ms is not None and armed.expires_ms <= self.now_ms:
            self.decide_row(row, Lapsed(row.id, armed.target))
        elif armed.watched and (reason := self.keeper.gives_way(armed, self.now_ms)):
            self.decide_row(row, Withheld(row.id, reason))
        else:
            self.send(row, armed)

    def send(self, row: Row, armed: Any) -> None:
        """The receiver has it before anything is written; the courier remembers it."""
        name = f"{row.id}!{row.birth}!{armed.turn}"
        if name not in self.sent_at:
            self.sent_at[name] = self.now_ms
            self.sent[row.id] += 1
        now = at(self.now_ms)
        ack = Ack(
            id=row.id,
            target=armed.target,
            birth=row.birth,
            turn=armed.turn,
            started_at=now,
            finished_at=now,
            result=Delivered(),
        )
        self.near.arm(row)
        self.decide_row(row, Acked(ack))

    def decide_row(self, row: Row, given: Any) -> None:
        decision = decide(Seen(row=row, marks=(Mark.FREE,) * len(row.deliveries)), given, self.now_ms, self.policy)
        if decision.writes:
            self.write_rows([Change(row.id, row, decision.row, None)])

    def forget(self) -> None:
        """Stubs whose time is over go, once their schedules have noted what became of them."""
        for message_id in self.mirror.to_forget(self.now_ms, 1_000_000):
            schedule = self.table.get(routing_key(message_id))
            try:
                if schedule is not None and key_of(message_id) in schedule.open:
                    self.tend(schedule.id)
                row = self.mirror.get(message_id)
                decision = decide(Seen(row=row), Forgotten(message_id), self.now_ms, self.policy)
                if decision.writes:
                    self.write_rows([Change(message_id, row, None, None)])
            except RestartError:
                self.begin()

    def sleep(self, to_ms: int) -> None:
        """Nobody is there."""
        self.now_ms = to_ms

    # ---- what people do

    def put(self, schedule_id: str, **definition: Any) -> Answer:
        given = {"message": {"channel": "log", "body": "run"}} | definition
        return self.ask(
            SchedulePut(
                command_id=f"put-{schedule_id}-{self.offset}",
                id=schedule_id,
                definition=msgspec.json.decode(msgspec.json.encode(given), type=NewDefinition),
            )
        )

    def cancel(self, occurrence_id: str) -> Answer:
        return self.ask(Cancel(command_id=f"cancel-{occurrence_id}-{self.offset}", id=occurrence_id))

    def move(self, occurrence_id: str, due_ms: int) -> Answer:
        return self.ask(
            Edit(command_id=f"move-{occurrence_id}-{self.offset}", id=occurrence_id, changes=Changes(due_at=at(due_ms)))
        )

    def history(self, schedule_id: str) -> list[tuple[str, str]]:
        """(time, state), open ones too."""
        from schemas.schedule_view import schedule_view  # noqa: PLC0415

        row = self.table.get(schedule_id)
        view = schedule_view(row, self.keeper.seen(schedule_id), self.now_ms, self.policy)
        told: list[tuple[str, str]] = []
        for past in view.history:
            told.append((f"{past.nominal:%d %H:%M}", past.state))
            if past.until is not None:
                told.append((f"{past.until:%d %H:%M}", past.state))
        return told


__all__ = ["DAY", "HOUR", "NightShift", "ms_of"]
