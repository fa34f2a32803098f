"""Mirror and Memory of the simulation: the disk of one process. Conformance with the real ones: tests/contracts."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from agents.ports import Change, Due, Loaded, ScheduleChange
from schemas.lifecycle import LIVE
from schemas.outcomes import DoneBefore, OutcomeRecord, Paced
from schemas.rows import Row
from schemas.schedule_rows import ScheduleRow, tend_ms
from schemas.times import ms_of
from schemas.windows import NOTHING, Counts, added, count_changes
from schemas.wire import read_timetable


class SimMirror:
    def __init__(self) -> None:
        self.wipe()
        self.schedules = SimSchedules()
        """The other copy on the same disk."""

    def wipe(self) -> None:
        self.applied, self.epoch, self.commands, self.acks = 0, -1, 0, 0
        self.unsaid: tuple[str, ...] = ()
        self.counts: dict[int, Counts] = {}
        self.table: dict[str, Row] = {}
        self._voids: set[str] = set()
        self.untold: set[int] = set()

    @property
    def voids(self) -> set[str]:
        return self._voids

    def get(self, message_id: str) -> Row | None:
        return self.table.get(message_id)

    def get_all(self, message_ids: list[str]) -> dict[str, Row]:
        return {i: row for i in message_ids if (row := self.table.get(i)) is not None}

    def rows(self) -> int:
        return len(self.table)

    def apply(self, changes: Iterable[Change], applied: int) -> None:
        for change in changes:
            for minute, place, by in count_changes(change.old, change.row):
                self.counts[minute] = added(self.counts.get(minute, NOTHING), place, by)
                self.untold.add(minute)
            if change.row is None:
                self.table.pop(change.id, None)
            else:
                self.table[change.id] = change.row
        self.applied = applied

    def load(self, rows: Iterable[Loaded], applied: int) -> None:
        self.apply(
            [
                Change(found.id, self.get(found.id), None if found.value is None else read_timetable(found.value), None)
                for found in rows
            ],
            applied,
        )

    def drop_windows(self, before_ms: int) -> list[int]:
        old = [minute for minute in self.counts if minute < before_ms]
        for minute in old:
            del self.counts[minute]
        return old

    def due_from(self, after: Due | None, until_ms: int, limit: int) -> list[Due]:
        live = sorted(
            Due(ms_of(d.due_at), row.id, d.target)
            for row in self.table.values()
            for d in row.deliveries
            if d.state in LIVE
        )
        start = 0 if after is None else bisect_right(live, after)
        return [due for due in live[start : start + limit] if due.due_ms <= until_ms]

    def to_forget(self, now_ms: int, limit: int) -> list[str]:
        over = [(ms_of(r.forget_at), r.id) for r in self.table.values() if r.forget_at and ms_of(r.forget_at) <= now_ms]
        return [i for _, i in sorted(over)[:limit]]

    def ids(self, start: str, end: str, limit: int) -> list[str]:
        return sorted(i for i in self.table if start <= i < end)[:limit]

    def close(self) -> None:
        pass


class SimSchedules:
    """agents.ports.ScheduleTable in a dict."""

    def __init__(self) -> None:
        self.applied, self.epoch = 0, -1
        self.table: dict[str, ScheduleRow] = {}
        self.voids: set[str] = set()

    def get(self, schedule_id: str) -> ScheduleRow | None:
        return self.table.get(schedule_id)

    def apply(self, changes: Iterable[ScheduleChange], applied: int) -> None:
        for change in changes:
            if change.row is None:
                self.table.pop(change.id, None)
            else:
                self.table[change.id] = change.row
        self.applied = applied

    def to_tend(self, now_ms: int, limit: int) -> list[str]:
        due = [(ms, i) for i, row in self.table.items() if (ms := tend_ms(row)) is not None and ms <= now_ms]
        return [i for _, i in sorted(due)[:limit]]

    def after(self, schedule_id: str, limit: int) -> list[ScheduleRow]:
        return [self.table[i] for i in sorted(self.table) if i > schedule_id][:limit]

    def close(self) -> None:
        pass


class SimMemory:
    def __init__(self) -> None:
        self.applied, self.claim = 0, -1
        self.epochs: dict[int, int] = {}
        self.done_before: DoneBefore | None = None
        self.paces: dict[str, Paced] = {}
        self.table: dict[str, OutcomeRecord] = {}

    def get(self, key: str) -> OutcomeRecord | None:
        return self.table.get(key)

    def get_many(self, keys: Sequence[str]) -> list[OutcomeRecord | None]:
        return [self.table.get(k) for k in keys]

    def apply(self, outcomes: Iterable[tuple[str, OutcomeRecord, bytes]], applied: int) -> None:
        for key, record, _ in outcomes:
            self.table[key] = record
            self.paces |= {paced.flow: paced for paced in record.paced}
        self.applied = applied

    def forget(self, before_ms: int) -> int:
        old = [k for k, r in self.table.items() if ms_of(r.finished_at) < before_ms]
        for k in old:
            del self.table[k]
        return len(old)

    def close(self) -> None:
        pass
