"""What a decision about a schedule is made from and consists of; its answers."""

from msgspec import Struct
from msgspec.structs import replace

from schemas.commands import Answer
from schemas.events import Event
from schemas.rows import Remembered, Result, kept
from schemas.schedule_commands import ScheduleChange, ScheduleCommand
from schemas.schedule_draft import Draft, RowChange
from schemas.schedule_rows import ScheduleRow


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


def made(draft: Draft, answer: Answer | None = None) -> ScheduleDecision:
    """All that a draft has come to."""
    return ScheduleDecision(
        changes=tuple(draft.changes.values()), row=draft.done(), events=tuple(draft.events), answer=answer
    )


def accepted(draft: Draft, asked: AskedSchedule, command: ScheduleChange, detail: str = "") -> ScheduleDecision:
    """A change that was made, remembered with what it touched, so that it can be told again."""
    note = _note(draft.row, asked, command, "accepted", detail)
    answers = kept((*draft.row.answers, note), draft.row.birth, draft.seen.progress)
    draft.row = replace(draft.row, answers=answers, touched=(*draft.changes, *draft.retold), missed=tuple(draft.missed))
    return made(draft, answer_of(command, note))


def refused(
    draft: Draft, asked: AskedSchedule, command: ScheduleChange, result: Result, detail: str
) -> ScheduleDecision:
    """Nothing was changed; remembered all the same: a replay is answered so again."""
    note = _note(draft.row, asked, command, result, detail)
    draft.row = replace(draft.row, answers=kept((*draft.row.answers, note), draft.row.birth, draft.seen.progress))
    return made(draft, answer_of(command, note))


def _note(row: ScheduleRow, asked: AskedSchedule, command: ScheduleChange, result: Result, detail: str) -> Remembered:
    return Remembered(
        command_id=command.command_id, offset=asked.offset, result=result, revision=row.revision, detail=detail
    )


def answer_of(command: ScheduleChange, note: Remembered) -> Answer:
    """As it was remembered."""
    return Answer(
        command_id=command.command_id, id=command.id, result=note.result, revision=note.revision, detail=note.detail
    )


def plain(
    command: ScheduleChange, result: Result, detail: str, row: ScheduleRow | None = None, *, repeated: bool = False
) -> ScheduleDecision:
    """An answer that leaves nothing to remember."""
    revision = 0 if row is None else row.revision
    answer = Answer(
        command_id=command.command_id, id=command.id, result=result, detail=detail, revision=revision, repeated=repeated
    )
    return ScheduleDecision(answer=answer)
