"""What the archive keeps of events: rows for Postgres, one per event, message and delivery. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from schemas.events import Event
from schemas.lifecycle import HELD_WHOLE, LIVE, DeliveryState
from schemas.message import NO_BODY, Content
from schemas.outcomes import Response
from schemas.rows import Row, stubbed

encode = msgspec.json.Encoder().encode
FINISHED = "finished"
REFUSED = "refused"
ERASED = "erased"
DISCARDED = "discarded"
LIVE_STATES = frozenset(state.value for state in LIVE)


class Placed(NamedTuple):
    """An event, and where it lies in `events`: the position orders the events of one message."""

    partition: int
    position: int
    event: Event


class EventRow(NamedTuple):
    """One transition, as it was told. `message`: what the message then was, without its body."""

    event_id: str
    at: datetime
    partition: int
    position: int
    id: str
    birth: int
    kind: str
    revision: int
    state: str
    target: int | None
    turn: int | None
    attempt: int | None
    channel: str | None
    delivery_state: str | None
    due_at: datetime | None
    started_at: datetime | None
    maybe_sent: bool
    reason: str
    response: str | None
    message: str | None


class MessageRow(NamedTuple):
    """A message as it now is. Fields that are None are not known from these events and stay as they were."""

    id: str
    birth: int
    partition: int
    position: int
    revision: int
    state: str | None
    due_at: datetime | None
    priority: int | None
    account: str | None
    flow: str | None
    channels: list[str] | None
    tags: list[str] | None
    message: str | None
    body: str | None
    body_base64: str | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    erased: bool = False


class DeliveryRow(NamedTuple):
    """One target of a message as it now is; `held`: a dead letter, which waits for a person."""

    id: str
    birth: int
    target: int
    position: int
    state: str
    channel: str
    turn: int
    attempts: int
    due_at: datetime | None
    started_at: datetime | None
    updated_at: datetime
    maybe_sent: bool
    held: bool
    reason: str
    response: str | None


class Rows(NamedTuple):
    """What a batch of events comes to."""

    events: list[EventRow]
    messages: list[MessageRow]
    deliveries: list[DeliveryRow]


def rows_of(placed: Iterable[Placed], *, bodies: bool) -> Rows:
    """The rows of events in log order, none of which is in the archive yet; `bodies` False: without bodies."""
    events: dict[str, EventRow] = {}
    messages: dict[tuple[str, int], MessageRow] = {}
    deliveries: dict[tuple[str, int, int], DeliveryRow] = {}
    for each in placed:
        event = each.event
        if event.event_id in events:
            continue
        row = events[event.event_id] = _event_row(each, bodies=bodies)
        key = (row.id, row.birth)
        messages[key] = _after(messages.get(key), each, bodies=bodies)
        if event.target is not None and event.delivery_state is not None:
            deliveries[*key, event.target] = _delivery_row(row, event.target)
    return Rows(list(events.values()), list(messages.values()), list(deliveries.values()))


def rows_of_live(row: Row, partition: int, *, bodies: bool) -> tuple[MessageRow, list[DeliveryRow]]:
    """What a row of the timetable says of its message: for one whose events are no longer kept."""
    content = _content(row.message, bodies=bodies and not row.stub)
    finished_at = row.updated_at if row.finished else None
    message = MessageRow(
        clean(row.id), row.birth, partition, -1, row.revision, row.state.value, row.message.due_at, *content,
        row.created_at, row.updated_at, finished_at,
    )  # fmt: skip
    return message, [
        DeliveryRow(
            clean(row.id), row.birth, d.target, -1, d.state.value, d.channel, d.turn, d.attempts, d.due_at,
            d.last_attempt_at, row.updated_at, d.maybe_sent, d.state in HELD_WHOLE, clean(d.reason),
            _response(d.last_response, bodies=bodies),
        )
        for d in row.deliveries
        if d.attempts or d.state is not DeliveryState.SCHEDULED
    ]  # fmt: skip


def clean(text: str) -> str:
    """Postgres keeps no NUL character in texts."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in text else text


def _event_row(placed: Placed, *, bodies: bool) -> EventRow:
    event = placed.event
    message = event.message
    return EventRow(
        clean(event.event_id), event.at, placed.partition, placed.position, clean(event.id), event.birth, event.kind,
        event.revision, event.state.value, event.target, event.turn, event.attempt, event.channel,
        None if event.delivery_state is None else event.delivery_state.value, event.due_at, event.started_at,
        event.maybe_sent, clean(event.reason), _response(event.response, bodies=bodies),
        None if message is None else _without_body(message),
    )  # fmt: skip


def _after(before: MessageRow | None, placed: Placed, *, bodies: bool) -> MessageRow:
    """The message after one more event. A refusal moves nothing; only the end itself, or a new beginning, moves the end."""
    event = placed.event
    refused = event.kind == REFUSED
    if before is None:
        before = MessageRow(
            clean(event.id), event.birth, placed.partition, placed.position, event.revision, None, None, None, None,
            None, None, None, None, None, None, event.at, event.at, None,
        )  # fmt: skip
    state = before.state if refused else event.state.value
    finished_at = event.at if event.kind == FINISHED else before.finished_at
    after = before._replace(
        position=placed.position,
        revision=event.revision,
        state=state,
        updated_at=event.at,
        finished_at=None if state in LIVE_STATES else finished_at,
    )
    if event.kind == ERASED:
        return _erased(after, event.message)
    if event.message is None:
        return after
    priority, account, flow, channels, tags, message, body, body_base64 = _content(event.message, bodies=bodies)
    return after._replace(
        due_at=event.message.due_at,
        priority=priority,
        account=account,
        flow=flow,
        channels=channels,
        tags=tags,
        message=message,
        body=body,
        body_base64=body_base64,
    )


def _erased(row: MessageRow, left: Content | None) -> MessageRow:
    """With what its owner left of it: no body, headers and metadata, whatever was told before."""
    message = None if left is None else _without_body(stubbed(left))
    return row._replace(message=message, body=None, body_base64=None, erased=True)


def _content(
    message: Content, *, bodies: bool
) -> tuple[int, str | None, str | None, list[str], list[str], str, str | None, str | None]:
    body = bytes(message.body).decode() if bodies and message.body is not NO_BODY else None
    return (
        message.priority,
        _cleaned(message.account),
        _cleaned(message.flow),
        sorted({target.channel for target in message.aims()}),
        [clean(tag) for tag in message.tags],
        _without_body(message),
        body or None,
        message.body_base64 if bodies else None,
    )


def _without_body(message: Content) -> str:
    """JSON, in which a NUL is written as an escape."""
    return encode(replace(message, body=NO_BODY, body_base64=None)).decode()


def _cleaned(text: str | None) -> str | None:
    return None if text is None else clean(text)


def _response(response: Response | None, *, bodies: bool) -> str | None:
    if response is None:
        return None
    return encode(response if bodies else replace(response, body="")).decode()


def _delivery_row(row: EventRow, target: int) -> DeliveryRow:
    assert row.delivery_state is not None
    held = row.delivery_state in HELD_WHOLE and row.kind != DISCARDED
    return DeliveryRow(
        row.id, row.birth, target, row.position, row.delivery_state, row.channel or "", row.turn or 0,
        row.attempt or 0, row.due_at, row.started_at, row.at, row.maybe_sent, held, row.reason, row.response,
    )  # fmt: skip
