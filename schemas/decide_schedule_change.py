"""What becomes of commands that make, change, pause or end a schedule: pure, called by decide_schedule alone."""

from datetime import datetime
from hashlib import blake2b

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from schemas.decisions import Policy
from schemas.ids import id_fault
from schemas.recurrence import occurrences
from schemas.schedule import Definition, NewDefinition
from schemas.schedule_commands import ScheduleEdit, SchedulePause, SchedulePut, ScheduleRemove, ScheduleResume
from schemas.schedule_decisions import AskedSchedule, ScheduleDecision, accepted, plain, refused
from schemas.schedule_draft import Draft, ScheduleSeen
from schemas.schedule_plan import PAUSE, make_up, plan, replan, set_back
from schemas.schedule_rows import Paused, ScheduleRow, Span, nominal_of
from schemas.times import at
from schemas.wire import explain

canonical = msgspec.json.Encoder(order="sorted").encode


def made_new(
    seen: ScheduleSeen, asked: AskedSchedule, command: SchedulePut, now_ms: int, policy: Policy
) -> ScheduleDecision:
    """A new schedule; for an id that is taken, the first answer again or a conflict."""
    row, definition = seen.row, command.definition.accepted()
    if row is not None and not row.removed:
        if row.original != definition_digest(definition):
            return plain(command, "conflict", "this id was first used with another definition", row)
        again = refused(Draft(row, seen, now_ms, policy), asked, command, "accepted", "")
        return replace(again, answer=None if again.answer is None else replace(again.answer, repeated=True))
    wrong_id = id_fault(command.id)
    fault = f"`id` {wrong_id}" if wrong_id else _fault(definition, command.id, at(asked.at_ms), policy)
    if fault:
        return plain(command, "refused", fault)
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
    return accepted(draft, asked, command)


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


def changed_definition(draft: Draft, asked: AskedSchedule, command: ScheduleEdit) -> ScheduleDecision:
    """Another definition: what was made ahead of it is made anew."""
    row = draft.row
    if command.if_revision is not None and command.if_revision != row.revision:
        return refused(draft, asked, command, "revision_mismatch", f"the revision is {row.revision}")
    try:
        definition = edited_definition(row.definition, command.changes)
    except ValueError as fault:
        return refused(draft, asked, command, "refused", str(fault))
    never = _fault(definition, row.id, draft.now, draft.policy)
    if never:
        return refused(draft, asked, command, "refused", never)
    draft.settle()
    draft.withdraw()
    set_back(draft)
    draft.change(asked.offset)
    draft.row = replace(draft.row, definition=definition, revision=row.revision + 1)
    if row.paused is None:
        replan(draft, "replaced by an edit of its schedule")
    return accepted(draft, asked, command)


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


def removed(draft: Draft, asked: AskedSchedule, command: ScheduleRemove) -> ScheduleDecision:
    """Nothing is to come any more; the row stays through the idempotency window."""
    draft.settle()
    draft.withdraw(manual=True)
    for key in list(draft.withdrawn):
        draft.drop(key, "its schedule was removed")
    draft.change(asked.offset)
    over = at(draft.now_ms + draft.policy.idempotency_ms)
    draft.row = replace(draft.row, removed=True, paused=None, tend_at=None, forget_at=over)
    return accepted(draft, asked, command)


def paused(draft: Draft, asked: AskedSchedule, command: SchedulePause) -> ScheduleDecision:
    """What was made ahead is taken back; what was owed by then is made up for on resume."""
    if draft.row.paused is not None:
        draft.row = replace(draft.row, paused=replace(draft.row.paused, note=command.note or draft.row.paused.note))
        return accepted(draft, asked, command)
    opened = draft.row.open
    draft.settle()
    draft.withdraw()
    set_back(draft)
    taken = {*draft.withdrawn, *(key for key in draft.retold if key in opened)}
    owed = tuple(n for key in sorted(taken) if (n := nominal_of(key)) is not None and n <= draft.now)
    for key in list(draft.withdrawn):
        draft.drop(key, "its schedule was paused")
    draft.change(asked.offset)
    draft.row = replace(draft.row, paused=Paused(at=draft.now, note=command.note, owed=owed), tend_at=None)
    return accepted(draft, asked, command)


def resumed(draft: Draft, asked: AskedSchedule, command: ScheduleResume) -> ScheduleDecision:
    """Go on, with what was owed and what was missed as `missed` says."""
    if draft.row.paused is not None:
        owed = draft.row.paused.owed
        draft.change(asked.offset)
        draft.row = replace(draft.row, paused=None)
        draft.settle()
        make_up(draft, owed)
        plan(draft, PAUSE)
    return accepted(draft, asked, command)
