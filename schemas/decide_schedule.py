"""The one decision about a schedule: commands, and the tending that moves its cursor. Pure, called by its owner alone."""

from typing import assert_never

from msgspec.structs import replace

from schemas.decide_events import whole_event
from schemas.decide_schedule_change import changed_definition, made_new, paused, removed, resumed
from schemas.decide_schedule_runs import backfilled, triggered
from schemas.decisions import Policy
from schemas.events import Event
from schemas.occurrence_past import events_of_end, missed_event, was_taken_back
from schemas.schedule_commands import (
    ScheduleBackfill,
    ScheduleChange,
    ScheduleEdit,
    ScheduleList,
    ScheduleLook,
    SchedulePause,
    SchedulePut,
    ScheduleRemove,
    ScheduleResume,
    ScheduleTrigger,
)
from schemas.schedule_decisions import AskedSchedule, ScheduleDecision, Tend, answer_of, made, plain, refused
from schemas.schedule_draft import Draft, ScheduleSeen
from schemas.schedule_plan import plan
from schemas.schedule_rows import Paused, ScheduleRow
from schemas.schedule_view import looked
from schemas.times import at, ms_of

HOUR_MS = 3_600_000


def decide_schedule(seen: ScheduleSeen, given: AskedSchedule | Tend, now_ms: int, policy: Policy) -> ScheduleDecision:
    """What follows from an input. A replay gives the same answer again and changes nothing."""
    if isinstance(given, Tend):
        return tended(seen, now_ms, policy)
    command, row = given.command, seen.row
    if isinstance(command, ScheduleLook):
        return ScheduleDecision(answer=looked(seen, command, now_ms, policy))
    if isinstance(command, ScheduleList):
        raise TypeError("a list is no matter of one schedule")
    known = None if row is None else row.answered(command.command_id)
    if row is not None and known is not None:
        events = _told_again(row, seen) if known is row.answers[-1] else ()
        return ScheduleDecision(events=events, answer=replace(answer_of(command, known), repeated=True))
    if isinstance(command, SchedulePut):
        return made_new(seen, given, command, now_ms, policy)
    if row is None or row.removed:
        if row is not None and isinstance(command, ScheduleRemove):
            return plain(command, "accepted", "", row, repeated=True)
        if row is None:
            return plain(command, "not_found", "")
        return refused(Draft(row, seen, now_ms, policy), given, command, "not_found", "")
    return _changed(Draft(row, seen, now_ms, policy), given, command)


def _told_again(row: ScheduleRow, seen: ScheduleSeen) -> tuple[Event, ...]:
    """A crash may have come before the events of the last command were told."""
    events = [missed_event(row, run, row.updated_at) for run in row.missed]
    for key in row.touched:
        got = seen.get(row.id_of(key))
        if got is not None:
            events += events_of_end(got[0]) if was_taken_back(got[0]) else [whole_event(got[0], "scheduled")]
    return tuple(events)


def tended(seen: ScheduleSeen, now_ms: int, policy: Policy) -> ScheduleDecision:
    """Settle what is finished, make what is to come; where a definition cannot be carried out any more, pause it."""
    row = seen.row
    if row is None:
        return ScheduleDecision()
    if row.forget_at is not None and ms_of(row.forget_at) <= now_ms and not row.open:
        return ScheduleDecision(forget=True)
    row = replace(row, missed=())
    draft = Draft(row, seen, now_ms, policy)
    draft.settle()
    if row.removed and draft.open:
        draft.row = replace(row, forget_at=max(row.forget_at or at(now_ms), at(now_ms + HOUR_MS)))
    if row.paused is None and not row.removed:
        try:
            plan(draft)
        except ValueError as fault:
            draft = Draft(row, seen, now_ms, policy)
            draft.row = replace(
                row, paused=Paused(at=at(now_ms), note=f"it cannot be carried out: {fault}"), tend_at=None
            )
    return made(draft)


def needs_tending(row: ScheduleRow | None, now_ms: int) -> bool:
    """Whether its cursor is behind: commands on it are decided after that."""
    return row is not None and row.tend_at is not None and ms_of(row.tend_at) <= now_ms


def _changed(draft: Draft, asked: AskedSchedule, command: ScheduleChange) -> ScheduleDecision:
    match command:
        case ScheduleEdit():
            return changed_definition(draft, asked, command)
        case ScheduleRemove():
            return removed(draft, asked, command)
        case SchedulePause():
            return paused(draft, asked, command)
        case ScheduleResume():
            return resumed(draft, asked, command)
        case ScheduleTrigger():
            return triggered(draft, asked, command)
        case ScheduleBackfill():
            return backfilled(draft, asked, command)
        case SchedulePut():
            raise AssertionError("decided before")
        case _:
            assert_never(command)
