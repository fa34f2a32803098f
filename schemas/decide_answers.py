"""Answers to commands, and the notes by which a row remembers them (rule 1, `remember_answers`)."""

from msgspec.structs import replace

from schemas.commands import Answer, Command
from schemas.decide_events import refused_event
from schemas.decisions import Asked, Decision, Mark, Seen
from schemas.lifecycle import LIVE, DeliveryState, MessageState, message_state
from schemas.rows import TIMELINE_KEPT, Delivery, Moment, Remembered, Result, Row, kept
from schemas.times import at


def answer_to(command: Command, note: Remembered) -> Answer:
    """The answer that a note holds."""
    return Answer(
        command_id=command.command_id,
        id=command.id,
        result=note.result,
        state=note.state,
        due_at=note.due_at,
        revision=note.revision,
        detail=note.detail,
        deliveries=note.deliveries,
    )


def plain_answer(command: Command, row: Row, result: Result, detail: str = "", *, repeated: bool = False) -> Answer:
    """An answer about a row as it is, which nothing remembers."""
    return Answer(
        command_id=command.command_id,
        id=command.id,
        result=result,
        state=row.state,
        due_at=row.message.due_at,
        revision=row.revision,
        detail=detail,
        deliveries={str(d.target): d.state for d in row.deliveries} if result.endswith("cancelled") else {},
        repeated=repeated,
    )


def not_found(asked: Asked, command: Command) -> Decision:
    """Remembered too, though there is no row to hold it."""
    note = Remembered(command_id=command.command_id, offset=asked.offset, result="not_found")
    return Decision(answer=answer_to(command, note), remember=note)


def refused(seen: Seen, asked: Asked, command: Command, result: Result, detail: str, now_ms: int) -> Decision:
    """Refusals are remembered too: a replay may find another state and must not answer otherwise (`remember_answers`)."""
    assert seen.row is not None
    state = message_state(shown_state(seen, d) for d in seen.row.deliveries)
    return kept_only(seen, command, remembered(asked, command, seen.row, result, detail=detail, state=state), now_ms)


def kept_only(seen: Seen, command: Command, note: Remembered, now_ms: int) -> Decision:
    """An answer that changes nothing, remembered in the row."""
    assert seen.row is not None
    row = noted(seen.row, seen, note, now_ms)
    return Decision(
        writes=True, row=row, events=(refused_event(row, note),), answer=answer_to(command, note), remember=note
    )


def remembered(
    asked: Asked,
    command: Command,
    row: Row,
    result: Result,
    deliveries: dict[str, DeliveryState] | None = None,
    *,
    detail: str = "",
    state: MessageState | None = None,
) -> Remembered:
    """The note that a row keeps of an answer."""
    return Remembered(
        command_id=command.command_id,
        offset=asked.offset,
        result=result,
        state=state or (message_state(DeliveryState(s) for s in deliveries.values()) if deliveries else row.state),
        due_at=row.message.due_at,
        revision=row.revision,
        detail=detail,
        deliveries=deliveries or {},
    )


def noted(row: Row, seen: Seen, note: Remembered, now_ms: int, moment: Moment | None = None) -> Row:
    """The row with an answer remembered, in this epoch."""
    timeline = row.timeline if moment is None else (*row.timeline, moment)[-TIMELINE_KEPT:]
    answers = kept((*row.answers, note), row.birth, seen.progress)
    return replace(row, epoch=seen.epoch, answers=answers, timeline=timeline, updated_at=at(now_ms))


def shown_state(seen: Seen, d: Delivery) -> DeliveryState:
    """The state with emission in it, which the timetable does not know."""
    handed = d.state in LIVE and seen.mark(d.target) in (Mark.PRODUCING, Mark.EMITTED)
    return DeliveryState.EMITTED if handed else d.state


def shown(seen: Seen, row: Row) -> dict[str, DeliveryState]:
    """The state of each target."""
    return {str(d.target): shown_state(seen, d) for d in row.deliveries}
