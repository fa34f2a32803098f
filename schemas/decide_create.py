"""What becomes of a create: pure, called by decide alone."""

from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from schemas.commands import Announce, Answer, Create
from schemas.decide_answers import answer_to, plain_answer
from schemas.decide_events import whole_event
from schemas.decide_replay import repeated
from schemas.decisions import Asked, Decision, Policy, Seen
from schemas.ids import id_fault
from schemas.lifecycle import MessageState
from schemas.message import Content
from schemas.rows import Delivery, Moment, Remembered, Row
from schemas.times import at, ms_of

encode = msgspec.json.Encoder().encode

canonical = msgspec.json.Encoder(order="sorted")


def digest(message: Content) -> str:
    """A hash of the content; the id is part of it, the order of keys is not."""
    ordered = encode if not message.metadata and len(message.headers) < 2 else canonical.encode
    return blake2b(ordered(message), digest_size=16).hexdigest()


def created(seen: Seen, asked: Asked, command: Create, now_ms: int, policy: Policy) -> Decision:
    """A new row; for an id that is taken, the first answer again or a conflict."""
    message, row = command.message, seen.row
    if row is not None:
        if digest(message) != first_content(row):
            return Decision(answer=plain_answer(command, row, "conflict", "this id was first used with other content"))
        first = next((a for a in row.answers if a.offset == row.birth), None)
        return (
            repeated(seen, command, first)
            if first
            else Decision(answer=plain_answer(command, row, "accepted", repeated=True))
        )
    fault = _create_fault(asked, command, policy)
    return not_created(command, fault) if fault else new_row(seen, asked, command, now_ms)


def announced(seen: Seen, asked: Asked, command: Announce, now_ms: int, policy: Policy) -> Decision:
    """A message of our own about another's end; an id that is taken, by an earlier end of that other, is made longer."""
    message, row = command.message, seen.row
    if row is not None:
        if digest(message) == first_content(row) or not message.id.endswith("!finished"):
            return Decision(answer=plain_answer(command, row, "accepted", repeated=True))
        of = message.id.removesuffix("!finished")
        longer = f"{message.id}!{command.command_id.removeprefix(of + '!').replace('!finished!', '.')}"
        return Decision(announce=(replace(command, message=replace(message, id=longer)),))
    if "!finished" not in message.id or message.channel not in policy.delays_ms:
        return not_created(command, f"`id` {message.id!r} or `channel` {message.channel!r} is none that owners write")
    return new_row(seen, asked, command, now_ms)


def not_created(command: Create | Announce, fault: str) -> Decision:
    """It leaves no row that could remember it."""
    return Decision(answer=Answer(command_id=command.command_id, id=command.id, result="refused", detail=fault))


def new_row(seen: Seen, asked: Asked, command: Create | Announce, now_ms: int) -> Decision:
    """The row of a new message, its event and its answer."""
    now, message = at(now_ms), command.message
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
        deliveries=_deliveries(message, seen.epoch),
        answers=(*seen.recent, note),
        timeline=(Moment(at=now, what="scheduled"),),
        created_at=now,
        updated_at=now,
    )
    return Decision(
        writes=True, row=row, events=(whole_event(row, "scheduled"),), answer=answer_to(command, note), remember=note
    )


def _deliveries(message: Content, epoch: int) -> tuple[Delivery, ...]:
    """One for each target."""
    due_at = message.due_at
    if not message.targets:
        flow = message.flow or message.account
        channel = message.channel or ""
        return (Delivery(target=0, channel=channel, to=message.to, flow=flow, due_at=due_at, turn_epoch=epoch),)
    return tuple(
        Delivery(target=n, channel=t.channel, to=t.to, flow=message.flow_of(t), due_at=due_at, turn_epoch=epoch)
        for n, t in enumerate(message.targets)
    )


def first_content(row: Row) -> str:
    """What a repeated create is compared with: the content as first accepted, whatever became of it (`original_content`)."""
    return row.original


def _create_fault(asked: Asked, command: Create, policy: Policy) -> str | None:
    message = command.message
    if fault := id_fault(message.id):
        return f"`id` {fault}"
    channel = _unknown_channel(message, policy)
    if channel is not None:
        return f"`channel` {channel!r} is not known here: use one of {', '.join(sorted(policy.delays_ms))}"
    return None if command.allow_past else past_fault(asked, message, policy)


def _unknown_channel(message: Content, policy: Policy) -> str | None:
    if not message.targets:
        return None if message.channel in policy.delays_ms else message.channel or ""
    return next((t.channel for t in message.targets if t.channel not in policy.delays_ms), None)


def past_fault(asked: Asked, message: Content, policy: Policy) -> str | None:
    """Why a message is too old to be accepted, counted from when the command was written."""
    if message.due_at > at(asked.at_ms):
        return None
    late = asked.at_ms - ms_of(message.due_at)
    if late <= policy.past_ms_max:
        return None
    return f"`due_at` is {late // 1000} s in the past, {policy.past_ms_max // 1000} s are allowed: correct it, or set `allow_past`"
