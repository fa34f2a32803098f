"""What comes in over HTTP, as the schemas' own records: one definition for HTTP and Kafka."""

import re
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Any
from uuid import UUID, uuid4, uuid5

import msgspec
from fastapi import Request
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.problems import ProblemError, invalid
from schemas.commands import Which
from schemas.ids import ANY_ID_MAX, ID_MAX, id_fault
from schemas.local_due import DueFold, DueGap, due_instant
from schemas.message import Changes, Input, Message, check_given
from schemas.wire import NOT_READ, Fault, explain

REQUEST_BYTES_MAX = 1024 * 1024
KEY_MAX = 255
NAMESPACE = UUID("6c1b52a2-0f6d-5f5c-9a35-6f2f6a0c8d11")
"""Of the ids made from an Idempotency-Key (RFC 9562, UUIDv5). It must never change."""


LocalOrInstant = Annotated[
    datetime, Meta(description="RFC 3339 with an offset; or a local time without one, and `timezone` beside it")
]
Zone = Annotated[str, Meta(max_length=100, description="an IANA zone, as Europe/Rome")]


class NewMessage(Message, frozen=True, kw_only=True):
    """A message to schedule. Without `id` it gets one: of the Idempotency-Key, else a random one."""

    id: str | UnsetType = UNSET  # type: ignore[assignment]  # with the zone, the one difference from what goes into Kafka
    allow_past: bool = False
    due_at: LocalOrInstant
    timezone: Zone | None = None
    gap: DueGap | None = None
    fold: DueFold | None = None

    def __post_init__(self) -> None:
        """Raises ValueError, naming the field, for what types cannot say."""
        place_in_time(self)
        check_given(self)

    def named(self, message_id: str) -> Message:
        """The message with its id."""
        return Message(
            **{name: getattr(self, name) for name in Message.__struct_fields__ if name != "id"}, id=message_id
        )


class NewContent(Changes, frozen=True, kw_only=True):
    """What to change."""

    allow_past: bool = False
    due_at: LocalOrInstant | UnsetType = UNSET
    timezone: Zone | None = None
    gap: DueGap | None = None
    fold: DueFold | None = None

    def __post_init__(self) -> None:
        """Raises ValueError, naming the field, for what types cannot say."""
        if self.due_at is not UNSET:
            place_in_time(self)
        elif self.timezone or self.gap or self.fold:
            raise ValueError("`timezone` has no `due_at` beside it: give both")

    def changes(self) -> Changes:
        """The changes alone."""
        return Changes(**{name: getattr(self, name) for name in Changes.__struct_fields__})


def place_in_time(given: NewMessage | NewContent) -> None:
    """A local time becomes its instant, and its zone has done its part. Raises ValueError."""
    assert given.due_at is not UNSET
    if given.due_at.tzinfo is not None and not (given.timezone or given.gap or given.fold):
        return
    instant = due_instant(given.due_at, given.timezone, given.gap, given.fold)
    for name, value in (("due_at", instant), ("timezone", None), ("gap", None), ("fold", None)):
        msgspec.structs.force_setattr(given, name, value)


class WhichTarget(Input, frozen=True, kw_only=True):
    """Which target an action is about."""

    target: Which | None = None


class Keyed(Struct, frozen=True):
    """The Idempotency-Key of a request, or None."""

    key: str | None

    def message_id(self) -> str:
        """For a message without one: the same for the same key."""
        return str(uuid4() if self.key is None else uuid5(NAMESPACE, self.key))

    def command_id(self, method: str, message_id: str, content: bytes) -> str:
        """The same for each repeat of one request. With other content it is another request, for its owner to judge."""
        if self.key is None:
            return str(uuid4())
        digest = blake2b(f"{method}\0{message_id}\0{self.key}\0".encode() + content, digest_size=16)
        return f"key:{method}:{digest.hexdigest()}"


async def read_body(request: Request) -> bytes:
    """The whole body. Raises ProblemError 413 for more than 1 MiB, without reading further."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > REQUEST_BYTES_MAX:
        raise too_large(f"it has {length} bytes")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > REQUEST_BYTES_MAX:
            raise too_large("it has more")
        parts.append(part)
    return b"".join(parts)


def too_large(found: str) -> ProblemError:
    """413: `found` says how large it is."""
    detail = f"{REQUEST_BYTES_MAX} bytes are the most a request may have and {found}: a message's body may have 262144"
    return ProblemError(413, "too_large", "The request is too large", detail)


def read_message(body: bytes) -> NewMessage:
    """Raises ProblemError: 400 for what is no JSON, 422 naming the field, the problem and the remedy."""
    new: NewMessage = decoded(body, NewMessage)
    if new.id is not UNSET:
        fault = id_fault(new.id)
        if fault:
            raise invalid(field_fault(f"`id` {fault}"))
    return new


def read_changes(body: bytes) -> NewContent:
    """Raises ProblemError: 400 for what is no JSON, 422 naming the field, the problem and the remedy."""
    changes: NewContent = decoded(body, NewContent)
    if not changes.changes().given():
        fields = ", ".join(Changes.__struct_fields__)
        raise invalid(Fault("", "changes nothing", f"give at least one of {fields}"))
    return changes


def decoded(body: bytes, into: type[Any]) -> Any:
    """Raises ProblemError: 400 for what is no JSON, 422 naming the field, the problem and the remedy."""
    try:
        return msgspec.json.decode(body, type=into)
    except NOT_READ as fault:
        raise decoding_problem(fault, "send a JSON object, and `Content-Type: application/json`") from None


def decoding_problem(fault: Exception, remedy: str) -> ProblemError:
    """Of what a decoder raises: 422 naming the field; 400 for what is no JSON, with the remedy."""
    if isinstance(fault, msgspec.ValidationError):
        return invalid(_explained(fault))
    problem = Fault("", f"the body is not JSON: {fault}", remedy)
    return ProblemError(400, "not_json", "The body is not JSON", str(problem), errors=(problem,))


def _explained(fault: Exception) -> Fault:
    """The last part of "problem: remedy" is the remedy, where the rule itself gives one."""
    text, _, path = str(fault).partition(" - at `$")
    if not text.startswith("`"):
        told = explain(fault)
        of_schedule = path.startswith(".message.") and not told.field.startswith("message")
        return Fault(f"message.{told.field}", told.problem, told.remedy) if of_schedule else told
    found, inner = field_fault(text), path.rstrip("`").lstrip(".")
    if not inner or found.field.partition(".")[0] == inner.rpartition(".")[2]:
        return found
    return Fault(f"{inner}.{found.field}", found.problem, found.remedy)


def field_fault(text: str) -> Fault:
    """The fault in a rule's sentence, "`field` what is wrong: what to do"."""
    named = re.match(r"`([^`]+)` ?", text)
    problem, _, remedy = text[named.end() if named else 0 :].partition(": ")
    return Fault(named[1] if named else "", problem, remedy or "correct the value and send it again")


def read_target(body: bytes) -> int | None:
    """The target that an action is about; None: all. Raises ProblemError as `decoded` does."""
    given: WhichTarget = decoded(body or b"{}", WhichTarget)
    return given.target


def read_key(request: Request) -> Keyed:
    """Raises ProblemError 422 for an Idempotency-Key that cannot be one."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= KEY_MAX and key.isprintable()):
        raise invalid(
            Fault("Idempotency-Key", "is empty, too long or not printable", f"give 1 to {KEY_MAX} characters")
        )
    return Keyed(key)


def read_revision(request: Request) -> int | None:
    """The revision of `If-Match`, None without it or for `*`. Raises ProblemError 422."""
    given = request.headers.get("if-match", "*").strip()
    if given == "*":
        return None
    number = re.fullmatch(r'(?:W/)?"?(\d{1,15})"?', given)
    if number is None:
        raise invalid(Fault("If-Match", f"is {given!r}", 'give the revision you have seen, as in If-Match: "3"'))
    return int(number[1])


def check_id(message_id: str) -> str:
    """An id of the address, one of our own too. Raises ProblemError 422 for what no message can have as one."""
    if not (0 < len(message_id) <= ANY_ID_MAX and message_id.isprintable()):
        raise invalid(Fault("id", "cannot be an id", f"ids have 1 to {ID_MAX} printable characters"))
    return message_id
