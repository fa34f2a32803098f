"""A schedule's row while one decision is made of it: occurrences made, taken back, settled. Lives within a decision."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from schemas.decide_create import digest
from schemas.decide_end import finished
from schemas.decide_events import whole_event
from schemas.decisions import Mark, Policy
from schemas.events import Event
from schemas.lifecycle import DeliveryState
from schemas.occurrence import TAKEN_BACK_MARK, OccurrenceOf
from schemas.occurrence_past import events_of_end, is_untouched, missed_event, past_of, was_taken_back
from schemas.recurrence import SECOND
from schemas.rows import Delivery, Moment, Remembered, Row
from schemas.schedule import Missed, Overlap, message_of
from schemas.schedule_rows import (
    HISTORY_KEPT,
    MANUAL,
    SPANS_MAX,
    ExceptionTo,
    MissedRun,
    Past,
    ScheduleRow,
    Span,
    nominal_of,
)
from schemas.times import at

EXCEPTION_KEPT = timedelta(days=7)
EVENTS_OF_MISSED_MAX = 100

Got = tuple[Row, tuple[Mark, ...]]


class RowChange(NamedTuple):
    """An occurrence's row as it was and as it is to be; None: a tombstone."""

    id: str
    old: Row | None
    row: Row | None


class ScheduleSeen(Struct, frozen=True, kw_only=True):
    """What the owner sees of one schedule. `get`: an occurrence's row and marks; `beyond`: ids there after the cursor.

    `recent`: answers given about an occurrence before it had a row; `foretold`: about any, before there was a schedule.
    """

    row: ScheduleRow | None
    get: Callable[[str], Got | None]
    recent: Callable[[str], tuple[Remembered, ...]] = lambda _: ()
    beyond: tuple[str, ...] = ()
    foretold: tuple[Remembered, ...] = ()
    epoch: int = 0
    progress: int = 0


class Draft:
    """`row` moves on with each step; `changes`, `events` and the lists that are put back by `done` are collected."""

    def __init__(self, row: ScheduleRow, seen: ScheduleSeen, now_ms: int, policy: Policy) -> None:
        self.row, self.seen, self.now_ms, self.policy = row, seen, now_ms, policy
        self.now = at(now_ms)
        self.late = timedelta(milliseconds=policy.late_ms)
        self.changes: dict[str, RowChange] = {}
        self.events: list[Event] = []
        self.open = dict.fromkeys(row.open)
        self.exceptions = dict(row.exceptions)
        self.history = list(row.history)
        self.not_run = list(row.not_run)
        self.withdrawn: dict[str, Row] = {}
        self.retold: dict[str, None] = {}
        self.missing = False
        self.missed: list[MissedRun] = []

    def get(self, key: str) -> Got | None:
        """An occurrence's row as this decision leaves it."""
        change = self.changes.get(key)
        if change is not None:
            return None if change.row is None else (change.row, ())
        return self.seen.get(self.row.id_of(key))

    def keys(self) -> list[str]:
        """Of all occurrences that are not settled, those unknown to the row too: a crash may have come between."""
        beyond = [key for key in (i.rpartition("@")[2] for i in self.seen.beyond) if nominal_of(key) is not None]
        return list(dict.fromkeys((*self.open, *beyond)))

    def change(self, offset: int) -> int:
        """The plan changes by the command at this offset: the birth of what is made from now on.

        Commands of one record share their offset, and births must not be shared.
        """
        self.row = replace(self.row, changed=max(offset, self.row.changed + 1))
        return self.row.changed

    # ---- settling

    def settle(self) -> None:
        """What is finished goes from `open` into the history."""
        for key in list(self.open):
            got = self.get(key)
            if got is not None and (not got[0].finished or was_taken_back(got[0])):
                continue  # taken back, and still open: its command is not carried out to its end, it comes again
            del self.open[key]
            if got is None:
                continue
            past = past_of(key, *got, self.policy)
            self.keep(past)
            if past.nominal > self.now and not past.manual:
                cancelled = past.state == "cancelled"
                self.exceptions[key] = ExceptionTo(kind="cancelled") if cancelled else ExceptionTo(kind="done")
            if past.state in ("missed", "skipped"):
                self.not_run.append(Span(since=past.nominal, to=past.nominal))

    def keep(self, past: Past) -> None:
        """Into the history; only so many are kept."""
        self.history.append(past)
        del self.history[:-HISTORY_KEPT]

    # ---- making

    def make(self, key: str, nominal: datetime, due: datetime, birth: int, old: Row | None = None) -> None:
        """An occurrence of the plan; in place of `old`, where there is one."""
        definition = self.row.definition
        within = self.late if definition.missed is Missed.SKIP else max(definition.catch_up, self.late)
        self.put(
            key,
            OccurrenceOf(
                schedule=self.row.id,
                nominal=nominal,
                start_within=within,
                alone=definition.overlap is Overlap.SKIP,
                latest=definition.missed is Missed.LATEST,
            ),
            due,
            birth,
            old,
        )

    def put(
        self,
        key: str,
        of: OccurrenceOf,
        due: datetime,
        birth: int,
        old: Row | None = None,
        notes: tuple[Remembered, ...] = (),
    ) -> None:
        """Any occurrence; `notes`: of commands that it remembers."""
        message = message_of(self.row.definition.message, self.row.id_of(key), due, of)
        deliveries = tuple(
            Delivery(
                target=n, channel=t.channel, to=t.to, flow=message.flow_of(t), due_at=due, turn_epoch=self.seen.epoch
            )
            for n, t in enumerate(message.aims())
        )
        row = Row(
            epoch=self.seen.epoch,
            id=message.id,
            birth=birth,
            revision=1 if old is None else old.revision + 1,
            original=digest(message),
            message=message,
            deliveries=deliveries,
            answers=(*(() if old is None else old.answers), *self.seen.recent(message.id), *notes),
            timeline=(Moment(at=self.now, what="scheduled", note="by its schedule"),),
            created_at=self.now,
            updated_at=self.now,
        )
        self.changes[key] = RowChange(row.id, old, row)
        self.open[key] = None
        self.missing = False
        self.events.append(whole_event(row, "scheduled"))

    def adopt(self, key: str, row: Row) -> None:
        """It is there: made before a crash, or before its turn."""
        self.open[key] = None
        self.missing = False
        if (row.revision == 1 or row.was_just_made) and not row.stub:
            self.events.append(whole_event(row, "scheduled"))

    def miss(self, nominal: datetime, due: datetime, reason: str) -> None:
        """It does not run. Several in a row are one line of the history."""
        last = self.history[-1] if self.history else None
        if self.missing and last is not None and last.state == "missed" and last.reason == reason:
            self.history[-1] = replace(last, until=nominal, times=last.times + 1, at=self.now)
            self.not_run[-1] = replace(self.not_run[-1], to=nominal)
        else:
            self.keep(Past(nominal=nominal, due_at=due, state="missed", at=self.now, reason=reason))
            self.not_run.append(Span(since=nominal, to=nominal))
        self.missing = True
        if len(self.missed) < EVENTS_OF_MISSED_MAX:
            run = MissedRun(nominal=nominal, due_at=due, reason=reason)
            self.missed.append(run)
            self.events.append(missed_event(self.row, run, self.now))

    # ---- taking back

    def withdraw(self, *, manual: bool = False) -> None:
        """Takes what was never handed over out of `open`; the cursor goes back to now. What stays is never made again."""
        for key in self.keys():
            got = self.get(key)
            nominal = nominal_of(key)
            if got is None or nominal is None or (key.endswith(MANUAL) and not manual):
                continue
            if self.tells_again(key, got[0]):
                self.open.pop(key, None)
            elif is_untouched(*got):
                self.withdrawn[key] = got[0]
                self.open.pop(key, None)
            elif nominal > self.now and not key.endswith(MANUAL):
                self.exceptions[key] = ExceptionTo(kind="done")

    def tells_again(self, key: str, row: Row) -> bool:
        """Whether it was taken back: perhaps just before a crash, and then nobody was told."""
        if not was_taken_back(row):
            return False
        self.retold[key] = None
        self.events += events_of_end(row)
        return True

    def drop(self, key: str, reason: str) -> None:
        """A withdrawn one is not made again for now: it ends, and answers its commands as before."""
        row = self.withdrawn.pop(key)
        why = f"{TAKEN_BACK_MARK}{reason}"
        ended = replace(
            row,
            epoch=self.seen.epoch,
            updated_at=self.now,
            timeline=(*row.timeline, Moment(at=self.now, what="taken back", note=reason)),
            deliveries=tuple(replace(d, state=DeliveryState.CANCELLED, reason=why) for d in row.deliveries),
        )
        ended = finished(ended, self.now_ms, self.policy)
        self.changes[key] = RowChange(row.id, row, ended)
        self.events += events_of_end(ended)

    def take_back(self, key: str, reason: str) -> None:
        """What this very decision has made is never there but as taken back."""
        self.withdrawn[key] = self._row_of(key)
        self.drop(key, reason)
        self.changes[key] = self.changes[key]._replace(old=None)
        del self.open[key]

    def _row_of(self, key: str) -> Row:
        made = self.changes[key].row
        assert made is not None
        return made

    def fill(self, since: datetime, to: datetime) -> None:
        """From now on everything of this period has run, or was cancelled."""
        left: list[Span] = []
        for span in self.not_run:
            if span.to < since or (span.since is not None and span.since > to):
                left.append(span)
                continue
            if span.since is None or span.since < since:
                left.append(replace(span, to=since - SECOND))
            if span.to > to:
                left.append(replace(span, since=to + SECOND))
        self.not_run = left

    # ---- the end

    def done(self) -> ScheduleRow:
        """The row with all that was collected; what is of no use any more is left out."""
        old = min(self.now, self.row.through) - EXCEPTION_KEPT
        kept = {k: e for k, e in self.exceptions.items() if (n := nominal_of(k)) is not None and n > old}
        return replace(
            self.row,
            epoch=self.seen.epoch,
            open=tuple(sorted(self.open)),
            exceptions=kept,
            not_run=tuple(self.not_run[-SPANS_MAX:]),
            history=tuple(self.history),
            updated_at=self.now,
        )
