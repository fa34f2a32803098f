"""A message as its sender asks for it."""

import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from schemas.ids import ANY_ID_MAX
from schemas.occurrence import OccurrenceOf
from schemas.times import DAY, EPOCH

BODY_MAX = 256 * 1024
BODY_JSON_MAX = 3 * BODY_MAX
"""As JSON, where text may be written as `\\uXXXX`. With all targets, a row must stay below 2 MiB."""
HEADERS_MAX = 8 * 1024
METADATA_MAX = 4 * 1024
SECRET_MARK = "secret:"  # noqa: S105  a mark, no secret
SECRET_HEADERS = frozenset({"authorization", "cookie"})
"""Their values are named, and told to the receiver by the courier alone: they are never stored or shown."""
TARGETS_MAX = 256 * 1024
DEPTH_MAX = 100
"""Deeper JSON could be accepted where the stack is low and stop a process that reads it where it is high."""
LATEST = datetime.max.replace(tzinfo=UTC) - DAY
NO_BODY = Raw(b"")
"""The one empty body: msgspec leaves a default out by identity, and another `Raw(b"")` would be written as `"body":}`."""

Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset, e.g. 2026-11-23T08:00:00Z")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Priority = Annotated[int, Meta(ge=0, le=9, description="9 goes first among overdue messages, 0 last")]
Tags = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...], Meta(max_length=10)]
Channel = Annotated[str, Meta(pattern="^[a-z][a-z0-9_-]{0,39}$")]
Address = Annotated[
    str, Meta(max_length=2048, description="a URL for webhook, an address for email, a topic for kafka")
]
Headers = dict[
    Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")],
    Annotated[str, Meta(pattern=r"^[^\r\n\x00]*$")],
]
FinalState = Literal["delivered", "partial", "unknown", "dead", "expired", "cancelled"]
Delay = Annotated[timedelta, Meta(description="ISO 8601 duration, e.g. PT5S")]


class Input(Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of what people send: unknown fields are named, not ignored."""


class Retry(Input, frozen=True, kw_only=True):
    """The delays between attempts, in place of the channel's own schedule."""

    delays: Annotated[tuple[Delay, ...], Meta(max_length=50)]

    def __post_init__(self) -> None:
        for delay in self.delays:
            if not timedelta(0) <= delay <= timedelta(days=7):
                raise ValueError(f"a delay of {delay} is not between 0 s and 7 days")

    @property
    def delays_ms(self) -> tuple[int, ...]:
        """As schemas.retry takes them."""
        return tuple(int(delay.total_seconds() * 1000) for delay in self.delays)


class Target(Input, frozen=True, kw_only=True):
    """One receiver of a message with many."""

    channel: Channel
    to: Address = ""
    flow: Name | None = None


class OnFinished(Input, frozen=True, kw_only=True):
    """Whom to tell, by a signed webhook with the final event, when nothing will move any more by itself."""

    url: Annotated[str, Meta(max_length=2048, pattern="^https?://", description="http or https")]
    states: Annotated[
        tuple[FinalState, ...],
        Meta(max_length=6, description="only where it ends in one of these; all of them if empty"),
    ] = ()


class Content(Input, frozen=True, kw_only=True):
    """What to send, where and when (DESIGN section 8), as it lies in the timetable: checked when it was accepted."""

    id: Annotated[str, Meta(max_length=ANY_ID_MAX)]
    due_at: Instant
    channel: Channel | None = None
    to: Address = ""
    body: Raw = NO_BODY
    body_base64: str | None = None
    content_type: Annotated[str, Meta(max_length=200, pattern=r"^[^\r\n\x00]*$")] | None = None
    headers: Headers = {}
    account: Name | None = None
    flow: Name | None = None
    priority: Priority = 5
    expires_at: Instant | None = None
    retry: Retry | None = None
    targets: Annotated[tuple[Target, ...], Meta(max_length=100)] = ()
    tags: Tags = ()
    metadata: dict[str, Any] = {}
    on_finished: OnFinished | None = None
    occurrence: OccurrenceOf | None = None

    def aims(self) -> tuple[Target, ...]:
        """The receivers, one or many."""
        return self.targets or (Target(channel=self.channel or "", to=self.to),)

    def flow_of(self, target: Target) -> str | None:
        """The flow that limits a target: its own, else the message's, else its account."""
        return target.flow or self.flow or self.account


class Message(Content, frozen=True, kw_only=True):
    """What a sender asks for. Raises ValueError, naming the fault, for what types cannot say."""

    def __post_init__(self) -> None:
        check_given(self)


def check_given(message: Content) -> None:
    """Raises ValueError for what nobody may ask for, or is no message to accept."""
    if message.occurrence is not None:
        raise ValueError("`occurrence` is set by schedules alone: leave it out")
    check(message)


def check(message: Content) -> None:
    """Raises ValueError for what is no message to accept; brings its body into the form that is kept."""
    if not message.targets and message.channel is None:
        raise ValueError("`channel` is missing: name a channel, or give `targets`")
    if message.targets and (message.channel is not None or message.to):
        raise ValueError("`targets` stands in place of `channel` and `to`: give one or the other")
    if not EPOCH <= message.due_at <= LATEST:
        raise ValueError("`due_at` is not between 1970-01-01 and 9999-12-30: correct it")
    if message.expires_at is not None and message.expires_at <= message.due_at:
        raise ValueError("`expires_at` is not after `due_at`: it would never be sent")
    for name, value in message.headers.items():
        if name.lower() in SECRET_HEADERS and not value.startswith(SECRET_MARK):
            raise ValueError(
                f"`headers` has a value for {name}: write secret:NAME and set CLEPSYDRA_SECRET_NAME for couriers"
            )
    compact_body(message)
    check_sizes(message)


def compact_body(message: Content) -> None:
    """JSON is kept as it was given, key order and numbers too, less the white space."""
    raw = bytes(message.body)
    if not raw.isascii():
        check_utf8(raw)
    if raw[:1] != b'"' and message.body is not NO_BODY:
        if is_deep(raw):
            raise ValueError(f"`body` is nested more than {DEPTH_MAX} deep: send it as a string")
        compact = Raw(msgspec.json.format(raw, indent=-1)) if raw else NO_BODY
        msgspec.structs.force_setattr(message, "body", compact)


def check_utf8(raw: bytes) -> None:
    """Raises ValueError for bytes that are no text: JSON is UTF-8 (RFC 8259, 8.1)."""
    try:
        raw.decode()
    except UnicodeDecodeError as fault:
        raise ValueError(f"`body` is not UTF-8: {fault.reason} at byte {fault.start}; use `body_base64`") from None


STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
SQUARE = bytes.maketrans(b"{}", b"[]")


def is_deep(raw: bytes) -> bool:
    """Whether JSON is nested more than DEPTH_MAX deep."""
    if raw.count(b"[") + raw.count(b"{") <= DEPTH_MAX:
        return False
    brackets = STRING.sub(b"", raw).translate(SQUARE, NO_BRACKET)
    for _ in range(DEPTH_MAX):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def check_sizes(message: Content) -> None:
    """Raises ValueError when a part is larger than allowed."""
    _check_body_size(message)
    if message.headers and sum(len(k) + len(v) for k, v in message.headers.items()) > HEADERS_MAX:
        raise ValueError(f"`headers` are larger than {HEADERS_MAX} bytes")
    if message.targets and sum(len(msgspec.json.encode(target)) for target in message.targets) > TARGETS_MAX:
        raise ValueError(f"`targets` are larger than {TARGETS_MAX} bytes: make it several messages")
    if message.metadata:
        encoded = msgspec.json.encode(message.metadata)
        if len(encoded) > METADATA_MAX:
            raise ValueError(f"`metadata` is larger than {METADATA_MAX} bytes")
        if is_deep(encoded):
            raise ValueError(f"`metadata` is nested more than {DEPTH_MAX} deep")


def _check_body_size(message: Content) -> None:
    size = len(bytes(message.body))
    if message.body_base64 is not None and size:
        raise ValueError("`body` and `body_base64` exclude each other: give one")
    if message.body_base64 is not None or size > BODY_MAX:
        sent = len(body_bytes(message.body, message.body_base64))
        if sent > BODY_MAX:
            raise ValueError(
                f"`body` has {sent} bytes: {BODY_MAX} at most; put large content elsewhere and send its address"
            )
        if size > BODY_JSON_MAX:
            raise ValueError(f"`body` has {size} bytes as JSON: {BODY_JSON_MAX} at most; use `body_base64`")


def body_bytes(body: Raw, base64: str | None) -> bytes:
    """The bytes to send: a string's UTF-8, compact JSON, or decoded base64. Raises ValueError for bad base64."""
    if base64 is not None:
        try:
            return b64decode(base64, validate=True)
        except ValueError as fault:
            raise ValueError(f"`body_base64` is not base64: {fault}") from fault
    raw = bytes(body)
    return msgspec.json.decode(raw, type=str).encode() if raw[:1] == b'"' else raw


class Changes(Input, frozen=True, kw_only=True):
    """What an edit changes; what is left out stays; null takes a value away."""

    due_at: Instant | UnsetType = UNSET
    to: Address | UnsetType = UNSET
    body: Raw | UnsetType = UNSET
    body_base64: str | None | UnsetType = UNSET
    content_type: Annotated[str, Meta(max_length=200, pattern=r"^[^\r\n\x00]*$")] | None | UnsetType = UNSET
    headers: Headers | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    expires_at: Instant | None | UnsetType = UNSET
    retry: Retry | None | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """The fields to change, by name."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}


TIMING = frozenset({"due_at", "expires_at", "priority", "retry"})
"""What an edit may still change after a first attempt (rule 3): the content is fixed then."""


def edited(message: Content, changes: Changes) -> Content:
    """The message with the changes made. Raises ValueError where the result is no valid message."""
    given = changes.given()
    if "body" in given:
        given.setdefault("body_base64", None)
    elif given.get("body_base64") is not None:
        given["body"] = NO_BODY
    if "to" in given and message.targets:
        raise ValueError("`to` cannot be edited on a message with `targets`: cancel it and make a new one")
    new = msgspec.structs.replace(message, **given)
    check(new)
    return new
