"""What becomes of a command: pure, called by decide alone."""

from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from schemas.commands import Answer, Cancel, Command, Create, Edit, Look
from schemas.decisions import Asked, Decision, Mark, Policy, Seen
from schemas.events import Event, EventKind
from schemas.lifecycle import LIVE, DeliveryState, MessageState, Stop, message_state, transition
from schemas.message import TIMING, Content, check_user_id
from schemas.message import edited as edited_message
from schemas.rows import TIMELINE_KEPT, Delivery, Moment, Remembered, Result, Row, kept, stubbed
from schemas.times import at, ms_of

encode = msgspec.json.Encoder().encode
canonical = msgspec.json.Encoder(order="sorted")
REFUSALS = frozenset({"too_late", "revision_mismatch", "refused"})


def digest(message: Content) -> str:
    """A hash of the content; the id is part of it, the order of keys is not."""
    ordered = encode if not message.metadata and len(message.headers) < 2 else canonical.encode
    return blake2b(ordered(message), digest_size=16).hexdigest()


def created(seen: Seen, asked: Asked, command: Create, now_ms: int, policy: Policy) -> Decision:
    """A new row; for an id that is taken, the first answer again or a conflict."""
    message, row = command.message, seen.row
    if row is not None:
        if digest(message) != first_content(row):
            return Decision(answer=_plain(command, row, "conflict", "this id was first used with other content"))
        first = next((a for a in row.answers if a.offset == row.birth), None)
        return (
            repeated(seen, command, first)
            if first
            else Decision(answer=_plain(command, row, "accepted", repeated=True))
        )
    fault = _create_fault(asked, command, policy)
    if fault:
        return Decision(answer=Answer(command_id=command.command_id, id=command.id, result="refused", detail=fault))
    now = at(now_ms)
    note = Remembered(
        command_id=command.command_id,
        offset=asked.offset,
        result="accepted",
        state=MessageState.SCHEDULED,
        due_at=message.due_at,
        revision=1,
    )
    row = Row(
        epoch=seen.epoch,
        id=message.id,
        birth=asked.offset,
        original=digest(message),
        message=message,
        deliveries=tuple(
            Delivery(
                target=n,
                channel=t.channel,
                to=t.to,
                flow=message.flow_of(t),
                due_at=message.due_at,
                turn_epoch=seen.epoch,
            )
            for n, t in enumerate(message.aims())
        ),
        answers=(*seen.recent, note),
        timeline=(Moment(at=now, what="scheduled"),),
        created_at=now,
        updated_at=now,
    )
    return Decision(
        writes=True, row=row, events=(whole_event(row, "scheduled"),), answer=_answer(command, note), remember=note
    )


def first_content(row: Row) -> str:
    """What a repeated create is compared with: the content as first accepted, whatever became of it (`original_content`)."""
    return row.original


def _create_fault(asked: Asked, command: Create, policy: Policy) -> str | None:
    try:
        check_user_id(command.id)
    except ValueError as fault:
        return str(fault)
    for target in command.message.aims():
        if target.channel not in policy.delays_ms:
            return f"`channel` {target.channel!r} is not known here: use one of {', '.join(sorted(policy.delays_ms))}"
    return None if command.allow_past else _past_fault(asked, command.message, policy)


def _past_fault(asked: Asked, message: Content, policy: Policy) -> str | None:
    late = asked.at_ms - ms_of(message.due_at)
    if late <= policy.past_ms_max:
        return None
    return f"`due_at` is {late // 1000} s in the past, {policy.past_ms_max // 1000} s are allowed: correct it, or set `allow_past`"


def edited(seen: Seen, asked: Asked, command: Edit, now_ms: int, policy: Policy) -> Decision:
    """All or nothing: refused when any delivery is emitted, finished or perhaps sent (rule 2, `edit_whole`)."""
    row = seen.row
    if row is None:
        return _not_found(asked, command)
    if command.if_revision is not None and command.if_revision != row.revision:
        return _refused(seen, asked, command, "revision_mismatch", f"the revision is {row.revision}", now_ms)
    detail = _edit_fault(seen, row, command)
    if detail:
        return _refused(seen, asked, command, "too_late", detail, now_ms)
    try:
        message = edited_message(row.message, command.changes)
    except ValueError as fault:
        return _refused(seen, asked, command, "refused", str(fault), now_ms)
    moved = message.due_at != row.message.due_at
    past = _past_fault(asked, message, policy) if moved and not command.allow_past else None
    if past:
        return _refused(seen, asked, command, "refused", past, now_ms)
    deliveries = tuple(
        replace(
            d,
            turn=d.turn + 1,
            turn_epoch=seen.epoch,
            due_at=message.due_at if moved else d.due_at,
            to=d.to if message.targets else message.to,
        )
        for d in row.deliveries
    )
    new = replace(row, message=message, revision=row.revision + 1, deliveries=deliveries)
    note = remembered(asked, command, new, "accepted")
    new = noted(
        new, seen, note, now_ms, Moment(at=at(now_ms), what="edited", note=", ".join(sorted(command.changes.given())))
    )
    return Decision(
        writes=True, row=new, events=(whole_event(new, "edited"),), answer=_answer(command, note), remember=note
    )


def _edit_fault(seen: Seen, row: Row, command: Edit) -> str:
    for d in row.deliveries:
        if d.state not in LIVE:
            return f"target {d.target} is {d.state.value}"
        if seen.mark(d.target) is not Mark.FREE:
            return "it was handed to the couriers"
        if d.maybe_sent:
            return f"target {d.target} was perhaps sent: a request went out and no response came back"
    if any(d.attempts for d in row.deliveries) and not command.changes.given().keys() <= TIMING:
        return f"the content is fixed after a first attempt; {', '.join(sorted(TIMING))} can still be edited"
    return ""


def cancelled(seen: Seen, asked: Asked, command: Cancel, now_ms: int, policy: Policy) -> Decision:
    """Stops every delivery that was not handed over; what was perhaps sent ends unknown (rule 10)."""
    row = seen.row
    if row is None:
        return _not_found(asked, command)
    stopped = {d.target for d in row.deliveries if d.state in LIVE and seen.mark(d.target) is Mark.FREE}
    deliveries = tuple(_stop(d) if d.target in stopped else d for d in row.deliveries)
    gone = sum(d.state is DeliveryState.CANCELLED for d in deliveries)
    result: Result = "cancelled" if gone == len(deliveries) else "partly_cancelled" if gone else "too_late"
    new = replace(row, deliveries=deliveries)
    if not stopped and gone and row.finished:
        return Decision(answer=_plain(command, row, result, repeated=True))
    if not stopped and gone:
        return _kept(seen, command, remembered(asked, command, row, result, _shown(seen, row)), now_ms)
    if not stopped:
        return _refused(seen, asked, command, "too_late", "it was handed to the couriers or is finished", now_ms)
    note = remembered(asked, command, new, result, _shown(seen, new))
    new = finished(noted(new, seen, note, now_ms, Moment(at=at(now_ms), what="cancelled")), now_ms, policy)
    events = tuple(delivery_event(new, d) for d in new.deliveries if d.target in stopped)
    return Decision(
        writes=True, row=new, events=events + final_event(new), answer=_answer(command, note), remember=note
    )


def _stop(d: Delivery) -> Delivery:
    moved = transition(d.state, Stop(), maybe_sent=d.maybe_sent, attempts=d.attempts)
    return d if moved is None else replace(d, state=moved.state, reason="cancelled by its sender")


def repeated(seen: Seen, command: Command, known: Remembered) -> Decision:
    """The answer given before, and the events that may have been lost with a crash right after the row was written."""
    row = seen.row
    events: tuple[Event, ...] = ()
    if row is not None and known.result == "accepted" and known.revision == row.revision:
        events = (whole_event(row, "scheduled" if row.revision == 1 else "edited"),)
    elif row is not None and known.result in REFUSALS and not known.deliveries:
        events = (refused_event(row, known),)
    elif row is not None and known.deliveries:
        events = tuple(
            delivery_event(row, d) for d in row.deliveries if d.reason == "cancelled by its sender"
        ) + final_event(row)
    return Decision(events=events, answer=replace(_answer(command, known), repeated=True))


def looked(seen: Seen, command: Look) -> Answer:
    """What the owner knows of a message: its row, with emissions shown in the states."""
    row = seen.row
    if row is None:
        return Answer(command_id=command.command_id, id=command.id, result="not_found")
    shown = replace(row, deliveries=tuple(replace(d, state=_shown_state(seen, d)) for d in row.deliveries))
    return replace(_plain(command, shown, "found"), view=shown, state=shown.state)


def _shown_state(seen: Seen, d: Delivery) -> DeliveryState:
    handed = d.state in LIVE and seen.mark(d.target) in (Mark.PRODUCING, Mark.EMITTED)
    return DeliveryState.EMITTED if handed else d.state


def _shown(seen: Seen, row: Row) -> dict[str, DeliveryState]:
    return {str(d.target): _shown_state(seen, d) for d in row.deliveries}


def _not_found(asked: Asked, command: Command) -> Decision:
    note = Remembered(command_id=command.command_id, offset=asked.offset, result="not_found")
    return Decision(answer=_answer(command, note), remember=note)


def _refused(seen: Seen, asked: Asked, command: Command, result: Result, detail: str, now_ms: int) -> Decision:
    """Refusals are remembered too: a replay may find another state and must not answer otherwise (`remember_answers`)."""
    assert seen.row is not None
    state = message_state(_shown_state(seen, d) for d in seen.row.deliveries)
    return _kept(seen, command, remembered(asked, command, seen.row, result, detail=detail, state=state), now_ms)


def _kept(seen: Seen, command: Command, note: Remembered, now_ms: int) -> Decision:
    """An answer that changes nothing, remembered in the row."""
    assert seen.row is not None
    row = noted(seen.row, seen, note, now_ms)
    return Decision(
        writes=True, row=row, events=(refused_event(row, note),), answer=_answer(command, note), remember=note
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


def finished(row: Row, now_ms: int, policy: Policy) -> Row:
    """A stub where all is over; whole, and longer, where a person may still act."""
    if not row.finished:
        return row
    if any(d.state in (DeliveryState.DEAD, DeliveryState.UNKNOWN) for d in row.deliveries):
        return replace(row, forget_at=at(now_ms + policy.held_whole_ms))
    return replace(row, message=stubbed(row.message), stub=True, forget_at=at(now_ms + policy.idempotency_ms))


def whole_event(row: Row, kind: EventKind) -> Event:
    """An event that carries the message."""
    return Event(
        event_id=f"{row.id}!{row.birth}!{kind}!{row.revision}",
        kind=kind,
        id=row.id,
        at=row.updated_at,
        birth=row.birth,
        revision=row.revision,
        state=row.state,
        due_at=row.message.due_at,
        message=row.message,
    )


def refused_event(row: Row, note: Remembered) -> Event:
    """An edit or cancel that came too late: audits want to know."""
    return Event(
        event_id=f"{row.id}!{row.birth}!refused!{note.command_id}",
        kind="refused",
        id=row.id,
        at=row.updated_at,
        birth=row.birth,
        revision=row.revision,
        state=note.state or row.state,
        reason=note.detail,
    )


KINDS: dict[DeliveryState, EventKind] = {
    DeliveryState.DELIVERED: "delivered",
    DeliveryState.DEAD: "dead",
    DeliveryState.CANCELLED: "cancelled",
    DeliveryState.EXPIRED: "expired",
    DeliveryState.UNKNOWN: "unknown",
    DeliveryState.RETRYING: "retrying",
    DeliveryState.SCHEDULED: "deferred",
}


def delivery_event(row: Row, d: Delivery, turn: int | None = None) -> Event:
    """What a delivery has become; `turn`: of the attempt that made it so, where the row is a turn further."""
    kind = KINDS[d.state]
    return Event(
        event_id=f"{row.id}!{row.birth}!{d.target}!{turn or d.turn}!{kind}",
        kind=kind,
        id=row.id,
        at=row.updated_at,
        birth=row.birth,
        revision=row.revision,
        state=row.state,
        target=d.target,
        turn=turn or d.turn,
        attempt=d.attempts,
        channel=d.channel,
        delivery_state=d.state,
        due_at=d.due_at,
        started_at=d.last_attempt_at,
        maybe_sent=d.maybe_sent,
        reason=d.reason,
        response=d.last_response,
    )


def final_event(row: Row) -> tuple[Event, ...]:
    """The one that says that nothing will move any more, if so."""
    if not row.finished:
        return ()
    turns = sum(d.turn for d in row.deliveries)
    return (
        Event(
            event_id=f"{row.id}!{row.birth}!finished!{turns}",
            kind="finished",
            id=row.id,
            at=row.updated_at,
            birth=row.birth,
            revision=row.revision,
            state=row.state,
        ),
    )


def _answer(command: Command, note: Remembered) -> Answer:
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


def _plain(command: Command, row: Row, result: Result, detail: str = "", *, repeated: bool = False) -> Answer:
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
