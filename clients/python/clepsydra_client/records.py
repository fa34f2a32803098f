"""What the gateway answers. A field that a newer one adds is passed over; a new state is a new word."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clepsydra_client.errors import ApiError


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A message as it now stands. `repeated`: the request was accepted before, this is its answer again."""

    id: str
    state: str
    due_at: datetime
    revision: int
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """What became of each target of a cancelled message, by its number: `results["0"]`."""

    id: str
    state: str
    results: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a receiver said."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One target of a message."""

    target: int
    channel: str
    to: str = ""
    flow: str | None = None
    state: str
    due_at: datetime | None = None
    attempts: int = 0
    maybe_sent: bool = False
    first_attempt_at: datetime | None = None
    last_attempt_at: datetime | None = None
    last_response: Response | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of a message's timeline."""

    at: datetime
    what: str
    target: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """All that is known of a message. A finished one has no body, headers and metadata any more."""

    id: str
    state: str
    due_at: datetime
    revision: int
    as_of: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    forgotten_at: datetime | None = None
    channel: str | None = None
    to: str = ""
    body: Any = None
    body_base64: str | None = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None
    flow: str | None = None
    priority: int = 5
    expires_at: datetime | None = None
    retry: Any = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    on_finished: Any = None
    deliveries: tuple[Delivery, ...] = ()
    timeline: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The answer to one line of many: `accepted`, or the `error` that it was refused with."""

    number: int
    id: str | None
    accepted: Accepted | None = None
    error: ApiError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one message of many that were asked for by filter; `more`: whatever else was said."""

    id: str
    state: str | None = None
    error: ApiError | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
