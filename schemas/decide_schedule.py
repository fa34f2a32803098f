"""The one decision about a schedule: commands, and the tending that moves its cursor. Pure, called by its owner alone."""

from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import assert_never

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from schemas.commands import Answer, Cancel, Command, Edit, SendNow
from schemas.decide_events import whole_event
from schemas.decisions import Asked, Policy
from schemas.events import Event
from schemas.ids import id_fault
from schemas.occurrence import OccurrenceOf
from schemas.recurrence import nominal_text, occurrences
from schemas.rows import Remembered, Result, Row, kept
from schemas.schedule import Definition, NewDefinition
from schemas.schedule_commands import (
    ScheduleBackfill,
    ScheduleChange,
    ScheduleCommand,
    ScheduleEdit,
    ScheduleList,
    ScheduleLook,
    SchedulePause,
    SchedulePut,
    ScheduleRemove,
    ScheduleResume,
    ScheduleTrigger,
)
from schemas.schedule_draft import (
    Draft,
    RowChange,
    ScheduleSeen,
    events_of_end,
    missed_event,
    never_sent,
    was_taken_back,
)
from schemas.schedule_plan import PAUSE, make_up, plan, replan, set_back
from schemas.schedule_rows import (
    EXCEPTIONS_MAX,
    MANUAL,
    ExceptionTo,
    Paused,
    ScheduleRow,
    Span,
    is_in,
    key_of,
    nominal_of,
)
from schemas.schedule_view import looked
from schemas.times import EPOCH, at, ms_of
from schemas.wire import explain

BACKFILL_MAX = 1_000
LOOKED_AHEAD_MAX = 10_000
BACKFILL_LOOKED = 20_000
WHILE_PAUSED = "its schedule is paused"
HOUR_MS = 3_600_000
MS = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
canonical = msgspec.json.Encoder(order="sorted").encode


class AskedSchedule(Struct, frozen=True):
    """A command about a schedule, where it lies in `commands`, and when it was written there."""

    command: ScheduleCommand
    offset: int
    at_ms: int


class Tend(Struct, frozen=True):
    """Something is to be done for a schedule, or an occurrence's row is about to be forgotten."""

    id: str


class ScheduleDecision(Struct, frozen=True, kw_only=True):
    """What to write: occurrences first, then the schedule's row, then the rest. `row` None: nothing of the schedule.

    `forget`: the schedule's own tombstone.
    """

    changes: tuple[RowChange, ...] = ()
    row: ScheduleRow | None = None
    forget: bool = False
    events: tuple[Event, ...] = ()
    answer: Answer | None = None


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
        return ScheduleDecision(events=events, answer=replace(_answer(command, known), repeated=True))
    if isinstance(command, SchedulePut):
        return _put(seen, given, command, now_ms, policy)
    if row is None or row.removed:
        if row is not None and isinstance(command, ScheduleRemove):
            return _plain(command, "accepted", "", row, repeated=True)
        if row is None:
            return _plain(command, "not_found", "")
        return _refused(Draft(row, seen, now_ms, policy), given, command, "not_found", "")
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
    return _made(draft)


def needs_tending(row: ScheduleRow | None, now_ms: int) -> bool:
    """Whether its cursor is behind: commands on it are decided after that."""
    return row is not None and row.tend_at is not None and ms_of(row.tend_at) <= now_ms


def _made(draft: Draft, answer: Answer | None = None) -> ScheduleDecision:
    return ScheduleDecision(
        changes=tuple(draft.changes.values()), row=draft.done(), events=tuple(draft.events), answer=answer
    )


# ---- commands


def _put(
    seen: ScheduleSeen, asked: AskedSchedule, command: SchedulePut, now_ms: int, policy: Policy
) -> ScheduleDecision:
    row, definition = seen.row, command.definition.accepted()
    if row is not None and not row.removed:
        if row.original != definition_digest(definition):
            return _plain(command, "conflict", "this id was first used with another definition", row)
        again = _refused(Draft(row, seen, now_ms, policy), asked, command, "accepted", "")
        return replace(again, answer=None if again.answer is None else replace(again.answer, repeated=True))
    wrong_id = id_fault(command.id)
    fault = f"`id` {wrong_id}" if wrong_id else _fault(definition, command.id, at(asked.at_ms), policy)
    if fault:
        return _plain(command, "refused", fault)
    now = at(asked.at_ms)
    new = ScheduleRow(
        epoch=seen.epoch,
        id=command.id,
        birth=asked.offset,
        changed=max(asked.offset, 0 if row is None else row.changed + 1),
        original=definition_digest(definition),
        definition=definition,
        through=now,
        not_run=(Span(to=now),),
        open=() if row is None else row.open,
        history=() if row is None else row.history,
        answers=(*(() if row is None else row.answers), *seen.foretold),
        created_at=at(now_ms),
        updated_at=at(now_ms),
    )
    draft = Draft(new, seen, now_ms, policy)
    plan(draft)
    return _accepted(draft, asked, command)


def _fault(definition: Definition, schedule_id: str, now: datetime, policy: Policy) -> str:
    for channel in sorted({a.channel for a in definition.message.targets} | {definition.message.channel or ""} - {""}):
        if channel not in policy.delays_ms:
            known = ", ".join(sorted(policy.delays_ms))
            return f"`message.channel` {channel!r} is not known here: use one of {known}"
    if next(occurrences(definition, schedule_id, now), None) is None:
        return "`recurrence` never comes after now, within `start`, `end` and `count`: correct it"
    return ""


def definition_digest(definition: Definition) -> str:
    """A hash of a definition; the order of keys is not part of it."""
    return blake2b(canonical(definition), digest_size=16).hexdigest()


def _changed(draft: Draft, asked: AskedSchedule, command: ScheduleChange) -> ScheduleDecision:
    match command:
        case ScheduleEdit():
            return _edit(draft, asked, command)
        case ScheduleRemove():
            return _remove(draft, asked, command)
        case SchedulePause():
            return _pause(draft, asked, command)
        case ScheduleResume():
            return _resume(draft, asked, command)
        case ScheduleTrigger():
            return _trigger(draft, asked, command)
        case ScheduleBackfill():
            return _backfill(draft, asked, command)
        case SchedulePut():
            raise AssertionError("decided before")
        case _:
            assert_never(command)


def _edit(draft: Draft, asked: AskedSchedule, command: ScheduleEdit) -> ScheduleDecision:
    row = draft.row
    if command.if_revision is not None and command.if_revision != row.revision:
        return _refused(draft, asked, command, "revision_mismatch", f"the revision is {row.revision}")
    try:
        definition = edited_definition(row.definition, command.changes)
    except ValueError as fault:
        return _refused(draft, asked, command, "refused", str(fault))
    never = _fault(definition, row.id, draft.now, draft.policy)
    if never:
        return _refused(draft, asked, command, "refused", never)
    draft.settle()
    draft.withdraw()
    set_back(draft)
    draft.change(asked.offset)
    draft.row = replace(draft.row, definition=definition, revision=row.revision + 1)
    if row.paused is None:
        replan(draft, "replaced by an edit of its schedule")
    return _accepted(draft, asked, command)


def edited_definition(definition: Definition, changes: dict[str, Raw]) -> Definition:
    """A definition with members changed, null taking one away. Raises ValueError, naming the field."""
    whole: dict[str, Raw] = msgspec.json.decode(msgspec.json.encode(definition), type=dict[str, Raw])
    for name, value in changes.items():
        if name not in Definition.__struct_fields__:
            known = ", ".join(Definition.__struct_fields__)
            raise ValueError(f"`{name}` is no member of a schedule: use {known}")
        if bytes(value).strip() == b"null":
            whole.pop(name, None)
        else:
            whole[name] = value
    try:
        return msgspec.json.decode(msgspec.json.encode(whole), type=NewDefinition).accepted()
    except msgspec.ValidationError as fault:
        text = str(fault).partition(" - at `$")[0]
        told = explain(fault)
        raise ValueError(text if text.startswith("`") else f"`{told.field}` {told.problem}: {told.remedy}") from None


def _remove(draft: Draft, asked: AskedSchedule, command: ScheduleRemove) -> ScheduleDecision:
    draft.settle()
    draft.withdraw(manual=True)
    for key in list(draft.withdrawn):
        draft.drop(key, "its schedule was removed")
    draft.change(asked.offset)
    over = at(draft.now_ms + draft.policy.idempotency_ms)
    draft.row = replace(draft.row, removed=True, paused=None, tend_at=None, forget_at=over)
    return _accepted(draft, asked, command)


def _pause(draft: Draft, asked: AskedSchedule, command: SchedulePause) -> ScheduleDecision:
    if draft.row.paused is not None:
        draft.row = replace(draft.row, paused=replace(draft.row.paused, note=command.note or draft.row.paused.note))
        return _accepted(draft, asked, command)
    opened = draft.row.open
    draft.settle()
    draft.withdraw()
    set_back(draft)
    taken = {*draft.withdrawn, *(key for key in draft.retold if key in opened)}
    owed = tuple(n for key in sorted(taken) if (n := nominal_of(key)) is not None and n <= draft.now)
    for key in list(draft.withdrawn):
        draft.drop(key, "its schedule was paused")
    paused = Paused(at=draft.now, note=command.note, owed=owed)
    draft.change(asked.offset)
    draft.row = replace(draft.row, paused=paused, tend_at=None)
    return _accepted(draft, asked, command)


def _resume(draft: Draft, asked: AskedSchedule, command: ScheduleResume) -> ScheduleDecision:
    if draft.row.paused is not None:
        owed = draft.row.paused.owed
        draft.change(asked.offset)
        draft.row = replace(draft.row, paused=None)
        draft.settle()
        make_up(draft, owed)
        plan(draft, PAUSE)
    return _accepted(draft, asked, command)


def _trigger(draft: Draft, asked: AskedSchedule, command: ScheduleTrigger) -> ScheduleDecision:
    moment = at(asked.at_ms)
    while (got := draft.get(key := _manual_key(moment))) is not None:
        if got[0].answered(command.command_id) is not None:
            draft.adopt(key, got[0])
            return _accepted(draft, asked, command, draft.row.id_of(key))
        moment += MS
    of = OccurrenceOf(schedule=draft.row.id, nominal=moment, manual=True)
    note = Remembered(command_id=command.command_id, offset=asked.offset, result="accepted", revision=1)
    draft.put(key, of, moment, asked.offset, notes=(note,))
    return _accepted(draft, asked, command, draft.row.id_of(key))


def _manual_key(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z{MANUAL}"


def _backfill(draft: Draft, asked: AskedSchedule, command: ScheduleBackfill) -> ScheduleDecision:
    row, until = draft.row, min(command.until, draft.row.through, draft.now)
    since = max(command.since, EPOCH)
    if command.until < command.since:
        return _refused(draft, asked, command, "refused", "`until` is before `since`: correct it")
    if since > until:
        return _accepted(draft, asked, command, "0 runs")
    found: list[datetime] = []
    source = occurrences(replace(row.definition, count=None), row.id, since - SECOND)
    for number, occurrence in enumerate(source):
        if occurrence.nominal > until:
            break
        if len(found) == BACKFILL_MAX or number == BACKFILL_LOOKED:
            return _refused(
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
    return _accepted(draft, asked, command, f"{made} runs")


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


# ---- one occurrence


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
    return _made(draft)


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
    return _made(draft, answer)


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
    return _made(draft)


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


# ---- answers


def _accepted(draft: Draft, asked: AskedSchedule, command: ScheduleChange, detail: str = "") -> ScheduleDecision:
    note = _note(draft.row, asked, command, "accepted", detail)
    answers = kept((*draft.row.answers, note), draft.row.birth, draft.seen.progress)
    draft.row = replace(draft.row, answers=answers, touched=(*draft.changes, *draft.retold), missed=tuple(draft.missed))
    return _made(draft, _answer(command, note))


def _refused(
    draft: Draft, asked: AskedSchedule, command: ScheduleChange, result: Result, detail: str
) -> ScheduleDecision:
    note = _note(draft.row, asked, command, result, detail)
    draft.row = replace(draft.row, answers=kept((*draft.row.answers, note), draft.row.birth, draft.seen.progress))
    return _made(draft, _answer(command, note))


def _note(row: ScheduleRow, asked: AskedSchedule, command: ScheduleChange, result: Result, detail: str) -> Remembered:
    return Remembered(
        command_id=command.command_id, offset=asked.offset, result=result, revision=row.revision, detail=detail
    )


def _answer(command: ScheduleChange, note: Remembered) -> Answer:
    return Answer(
        command_id=command.command_id, id=command.id, result=note.result, revision=note.revision, detail=note.detail
    )


def _plain(
    command: ScheduleChange, result: Result, detail: str, row: ScheduleRow | None = None, *, repeated: bool = False
) -> ScheduleDecision:
    revision = 0 if row is None else row.revision
    answer = Answer(
        command_id=command.command_id, id=command.id, result=result, detail=detail, revision=revision, repeated=repeated
    )
    return ScheduleDecision(answer=answer)
