"""What becomes of commands that make runs by hand, one or those of a span: pure, called by decide_schedule alone."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from schemas.occurrence import OccurrenceOf
from schemas.occurrence_past import never_sent
from schemas.recurrence import nominal_text, occurrences
from schemas.rows import Remembered
from schemas.schedule_commands import ScheduleBackfill, ScheduleTrigger
from schemas.schedule_decisions import AskedSchedule, ScheduleDecision, accepted, refused
from schemas.schedule_draft import Draft
from schemas.schedule_rows import MANUAL, is_in
from schemas.times import EPOCH, at

BACKFILL_MAX = 1_000
BACKFILL_LOOKED = 20_000
MS = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)


def triggered(draft: Draft, asked: AskedSchedule, command: ScheduleTrigger) -> ScheduleDecision:
    """A run of now, beside those of the plan."""
    moment = at(asked.at_ms)
    while (got := draft.get(key := _manual_key(moment))) is not None:
        if got[0].answered(command.command_id) is not None:
            draft.adopt(key, got[0])
            return accepted(draft, asked, command, draft.row.id_of(key))
        moment += MS
    of = OccurrenceOf(schedule=draft.row.id, nominal=moment, manual=True)
    note = Remembered(command_id=command.command_id, offset=asked.offset, result="accepted", revision=1)
    draft.put(key, of, moment, asked.offset, notes=(note,))
    return accepted(draft, asked, command, draft.row.id_of(key))


def _manual_key(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z{MANUAL}"


def backfilled(draft: Draft, asked: AskedSchedule, command: ScheduleBackfill) -> ScheduleDecision:
    """The runs of a span that never were, now."""
    row, until = draft.row, min(command.until, draft.row.through, draft.now)
    since = max(command.since, EPOCH)
    if command.until < command.since:
        return refused(draft, asked, command, "refused", "`until` is before `since`: correct it")
    if since > until:
        return accepted(draft, asked, command, "0 runs")
    found: list[datetime] = []
    source = occurrences(replace(row.definition, count=None), row.id, since - SECOND)
    for number, occurrence in enumerate(source):
        if occurrence.nominal > until:
            break
        if len(found) == BACKFILL_MAX or number == BACKFILL_LOOKED:
            return refused(
                draft,
                asked,
                command,
                "refused",
                f"`until` makes it more than {BACKFILL_MAX} runs: ask for less at a time",
            )
        if occurrence.nominal >= since and is_in(row.not_run, occurrence.nominal):
            found.append(occurrence.nominal)
    draft.settle()
    birth = draft.change(asked.offset)
    note = Remembered(command_id=command.command_id, offset=asked.offset, result="accepted", revision=1)
    made = sum(_fill(draft, nominal, at(asked.at_ms), birth, note) for nominal in found)
    draft.fill(since, until)
    return accepted(draft, asked, command, f"{made} runs")


def _fill(draft: Draft, nominal: datetime, due: datetime, birth: int, note: Remembered) -> bool:
    key = nominal_text(nominal)
    got = draft.get(key)
    if got is not None and got[0].answered(note.command_id) is not None:
        draft.adopt(key, got[0])
        return True
    if got is not None and not never_sent(got[0]):
        return False
    of = OccurrenceOf(schedule=draft.row.id, nominal=nominal)
    draft.put(key, of, due, birth, None if got is None else got[0], notes=(note,))
    return True
