"""What becomes of a command on one occurrence, as its schedule has it: pure, called by the schedule's owner alone."""

from datetime import datetime, timedelta
from itertools import islice

from msgspec.structs import replace

from schemas.commands import Answer, Cancel, Command, Edit, SendNow
from schemas.decisions import Asked, Policy
from schemas.occurrence_past import never_sent, was_taken_back
from schemas.recurrence import occurrences
from schemas.rows import Remembered, Result, Row, kept
from schemas.schedule_decisions import ScheduleDecision, made
from schemas.schedule_draft import Draft, ScheduleSeen
from schemas.schedule_rows import EXCEPTIONS_MAX, MANUAL, ExceptionTo, ScheduleRow, key_of, nominal_of
from schemas.times import at

LOOKED_AHEAD_MAX = 10_000
WHILE_PAUSED = "its schedule is paused"
SECOND = timedelta(seconds=1)


def early(seen: ScheduleSeen, command: Cancel | Edit | SendNow, now_ms: int, policy: Policy) -> ScheduleDecision | None:
    """An occurrence that is to be changed before its turn is made now; None where it is none of the plan.

    Of a paused schedule it is made and taken back at once: there is nothing to send or to move, but a cancel of it holds.
    """
    row, key = seen.row, key_of(command.id)
    if row is None or row.answered(command.command_id) is not None:
        return None
    if row.paused is not None and not isinstance(command, Cancel):
        return None
    nominal = _to_come(row, key, now_ms)
    due = None if nominal is None else _planned(row, nominal)
    if nominal is None or due is None:
        return None
    draft = Draft(row, seen, now_ms, policy)
    draft.make(key, nominal, due, row.changed)
    if row.paused is not None:
        draft.take_back(key, WHILE_PAUSED)
    return made(draft)


def _to_come(row: ScheduleRow, key: str, now_ms: int) -> datetime | None:
    """The time of a run that is not made yet, and may be; else None."""
    nominal = nominal_of(key)
    if row.removed or nominal is None or key.endswith(MANUAL) or key in row.exceptions:
        return None
    return nominal if nominal > row.through and nominal > at(now_ms) else None


def waits_for_resume(seen: ScheduleSeen, command: Cancel | Edit | SendNow, now_ms: int) -> bool:
    """Whether a run cannot be moved or sent because its schedule is paused, and could be otherwise."""
    row, key = seen.row, key_of(command.id)
    if row is None or row.paused is None or isinstance(command, Cancel):
        return False
    got, nominal = seen.get(command.id), nominal_of(key)
    if got is not None:
        return was_taken_back(got[0]) and nominal is not None and nominal > at(now_ms) and key not in row.exceptions
    nominal = _to_come(row, key, now_ms)
    return nominal is not None and _planned(row, nominal) is not None


def has_too_many_exceptions(row: ScheduleRow, occurrence_id: str) -> bool:
    """Whether no more can be done to single occurrences."""
    return len(row.exceptions) >= EXCEPTIONS_MAX and key_of(occurrence_id) not in row.exceptions


def turned_down(seen: ScheduleSeen, asked: Asked, now_ms: int, policy: Policy) -> ScheduleDecision:
    """An occurrence is none of the plan, or not now; remembered by its schedule, which may make it later."""
    row, command = seen.row, asked.command
    assert row is not None
    known = row.answered(command.command_id)
    result, detail = _why_turned_down(seen, row, command, now_ms)
    note = known or Remembered(command_id=command.command_id, offset=asked.offset, result=result, detail=detail)
    answer = Answer(
        command_id=note.command_id, id=command.id, result=note.result, detail=note.detail, repeated=known is not None
    )
    if known is not None:
        return ScheduleDecision(answer=answer)
    draft = Draft(row, seen, now_ms, policy)
    draft.row = replace(row, answers=kept((*row.answers, note), row.birth, seen.progress))
    return made(draft, answer)


def _why_turned_down(seen: ScheduleSeen, row: ScheduleRow, command: Command, now_ms: int) -> tuple[Result, str]:
    if has_too_many_exceptions(row, command.id):
        return "refused", f"`id` is of a schedule with {EXCEPTIONS_MAX} exceptions: edit the schedule instead"
    if isinstance(command, Edit | SendNow) and waits_for_resume(seen, command, now_ms):
        return "wrong_state", f"the schedule {row.id!r} is paused: resume it, then change its runs; cancel works now"
    return "not_found", ""


def _planned(row: ScheduleRow, nominal: datetime) -> datetime | None:
    """When an occurrence after the cursor would be due; None where it is none of the plan."""
    counts = row.definition.count is not None
    after, counted = (row.through, row.counted) if counts else (nominal - SECOND, 0)
    for occurrence in islice(occurrences(row.definition, row.id, after, counted), LOOKED_AHEAD_MAX):
        if occurrence.nominal >= nominal:
            return occurrence.due if occurrence.nominal == nominal else None
    return None


def excepted(
    seen: ScheduleSeen, row: Row, now_ms: int, policy: Policy, *, cancelled: bool = False
) -> ScheduleDecision | None:
    """What was done to one occurrence holds, however long its row is gone; None where nothing is to be noted.

    `cancelled`: this was answered, though it may be its schedule that took it back.
    """
    schedule, key = seen.row, key_of(row.id)
    nominal = nominal_of(key)
    if schedule is None or nominal is None or key.endswith(MANUAL) or _is_settled(schedule, nominal, at(now_ms)):
        return None
    if was_taken_back(row):
        exception = ExceptionTo(kind="cancelled") if cancelled else schedule.exceptions.get(key)
    else:
        exception = _exception(schedule, row, nominal)
    if schedule.exceptions.get(key) == exception and (key in schedule.open or row.finished):
        return None
    draft = Draft(schedule, seen, now_ms, policy)
    if exception is not None:
        draft.exceptions[key] = exception
    if not row.finished:
        draft.open[key] = None
    return made(draft)


def _is_settled(schedule: ScheduleRow, nominal: datetime, now: datetime) -> bool:
    """Whether an occurrence is never made again, whatever is asked."""
    owed = () if schedule.paused is None else schedule.paused.owed
    return nominal <= now and nominal <= schedule.through and nominal not in owed


def _exception(schedule: ScheduleRow, row: Row, nominal: datetime) -> ExceptionTo | None:
    if row.finished:
        return ExceptionTo(kind="cancelled" if never_sent(row) else "done")
    planned = next(occurrences(replace(schedule.definition, count=None), schedule.id, nominal - SECOND), None)
    if planned is not None and planned.nominal == nominal and planned.due == row.message.due_at:
        return schedule.exceptions.get(key_of(row.id))
    return ExceptionTo(kind="moved", due_at=row.message.due_at)
