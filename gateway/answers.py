"""What an owner answered, as HTTP says it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, assert_never
from urllib.parse import quote

import msgspec
from fastapi import Response
from msgspec import Raw, Struct

from gateway.problems import ProblemError, invalid
from gateway.requests import field_fault
from schemas.commands import Answer
from schemas.lifecycle import LIVE, DeliveryState, MessageState
from schemas.message import NO_BODY, Message, OnFinished, Retry
from schemas.retry import attempts_left
from schemas.rows import Delivery, Moment, Row

Delays = Mapping[str, tuple[int, ...]]
"""The retry schedule of each channel, as schemas.decisions.Policy has it."""


class Accepted(Struct, frozen=True, kw_only=True):
    """A message as it now stands."""

    id: str
    state: MessageState
    due_at: datetime
    revision: int


class Cancelled(Struct, frozen=True, kw_only=True):
    """What became of each target of a cancelled message."""

    id: str
    state: MessageState
    results: dict[str, DeliveryState]


class Acted(Struct, frozen=True, kw_only=True):
    """What became of each target by an action."""

    id: str
    state: MessageState
    results: dict[str, DeliveryState]


class MessageView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that its owner knows of a message. A finished one has no body, headers and metadata any more."""

    id: str
    state: MessageState
    due_at: datetime
    revision: int
    as_of: datetime
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None
    forgotten_at: datetime | None = None
    erased: bool = False
    channel: str | None = None
    to: str = ""
    body: Raw = NO_BODY
    body_base64: str | None = None
    content_type: str | None = None
    headers: dict[str, str] = {}
    account: str | None = None
    flow: str | None = None
    priority: int
    expires_at: datetime | None = None
    retry: Any = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    on_finished: OnFinished | None = None
    deliveries: list[dict[str, Any]]
    timeline: tuple[Moment, ...]


SHOWN = tuple(
    name for name in Message.__struct_fields__ if name in MessageView.__struct_fields__ and name not in ("id", "due_at")
)


OWN = ("turn", "turn_epoch", "by_hand", "slot")


def view(row: Row, state: MessageState, as_of: datetime, delays_ms: Delays) -> MessageView:
    """A row as people read it."""
    return MessageView(
        id=row.id,
        state=state,
        due_at=row.message.due_at,
        revision=row.revision,
        as_of=as_of,
        created_at=row.created_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
        forgotten_at=row.forget_at,
        erased=row.erased,
        deliveries=[_delivery(delivery, row.message.retry, delays_ms) for delivery in row.deliveries],
        timeline=row.timeline,
        **{name: getattr(row.message, name) for name in SHOWN},
    )


def _delivery(delivery: Delivery, own: Retry | None, delays_ms: Delays) -> dict[str, Any]:
    """Every field, defaults too, less what only owners need; and how many more attempts there may be."""
    shown = {name: getattr(delivery, name) for name in Delivery.__struct_fields__ if name not in OWN}
    delays = delays_ms.get(delivery.channel) if own is None else own.delays_ms
    if delays is None or delivery.state not in LIVE:
        return shown | {"attempts_left": None}
    return shown | {"attempts_left": attempts_left(delays, delivery.attempts_in_schedule)}


def created_response(answer: Answer) -> Response:
    """201 the first time, 200 when it was accepted before. Raises ProblemError."""
    status = 200 if answer.repeated else 201
    return _accepted(answer, status, {"Location": f"/v1/messages/{quote(answer.id, safe='')}"})


def edited_response(answer: Answer) -> Response:
    """200. Raises ProblemError."""
    return _accepted(answer, 200, {})


def cancelled_response(answer: Answer) -> Response:
    """200 if any target was cancelled, now or before. Raises ProblemError."""
    if answer.result not in ("cancelled", "partly_cancelled"):
        raise problem_of(answer)
    assert answer.state is not None
    return json_response(Cancelled(id=answer.id, state=answer.state, results=answer.deliveries))


def acted_response(answer: Answer) -> Response:
    """200. Raises ProblemError."""
    if answer.result != "accepted" or answer.state is None:
        raise problem_of(answer)
    return json_response(Acted(id=answer.id, state=answer.state, results=answer.deliveries))


def looked_response(answer: Answer, as_of: datetime, delays_ms: Delays) -> Response:
    """200; `delays_ms`: the retry schedule of each channel. Raises ProblemError."""
    if answer.view is None or answer.state is None:
        raise problem_of(answer)
    return json_response(view(answer.view, answer.state, as_of, delays_ms), headers=_tag(answer.view.revision))


def json_response(content: Struct, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A record as JSON."""
    return Response(msgspec.json.encode(content), status, headers=headers, media_type="application/json")


def _accepted(answer: Answer, status: int, headers: dict[str, str]) -> Response:
    if answer.result != "accepted" or answer.state is None or answer.due_at is None:
        raise problem_of(answer)
    shown = Accepted(id=answer.id, state=answer.state, due_at=answer.due_at, revision=answer.revision)
    return json_response(shown, status, headers | _tag(answer.revision))


def _tag(revision: int) -> dict[str, str]:
    return {"ETag": f'"{revision}"'}


def problem_of(answer: Answer) -> ProblemError:
    """The problem that a refusal is."""
    more: dict[str, Any] = {"id": answer.id, "state": answer.state, "revision": answer.revision or None}
    match answer.result:
        case "refused":
            return invalid(field_fault(answer.detail))
        case "not_found":
            detail = f"there is no message {answer.id!r}: it never was, or its idempotency window is over"
            return ProblemError(404, "not_found", "No such message", detail, id=answer.id)
        case "too_late":
            return ProblemError(409, "too_late", "Too late to change it", answer.detail, **more)
        case "conflict":
            return ProblemError(409, "conflict", "The id is taken by other content", answer.detail, **more)
        case "wrong_state":
            return ProblemError(409, "wrong_state", "It is not in a state for this", answer.detail, **more)
        case "revision_mismatch":
            detail = f"{answer.detail}: read it again and decide on what it is now"
            return ProblemError(412, "revision_mismatch", "It was changed meanwhile", detail, **more)
        case "accepted" | "cancelled" | "partly_cancelled" | "found":
            return ProblemError(
                500, "internal", "Internal error", f"an unexpected answer: {answer.result}", id=answer.id
            )
        case _:
            assert_never(answer.result)
