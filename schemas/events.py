"""Lifecycle events and dead letters: what the archive, audits and people read."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from schemas.lifecycle import DeliveryState, MessageState
from schemas.message import Content
from schemas.outcomes import Response
from schemas.rows import Row
from schemas.versions import version

EventKind = Literal[
    "scheduled",
    "edited",
    "refused",
    "cancelled",
    "delivered",
    "retrying",
    "deferred",
    "dead",
    "expired",
    "unknown",
    "retried",
    "discarded",
    "erased",
    "finished",
    "missed",
]


class Event(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One transition. `event_id` is derived from it, so a reader can drop repeats."""

    v: int = version()
    event_id: str
    kind: EventKind
    id: str
    at: datetime
    birth: int
    revision: int
    state: MessageState
    target: int | None = None
    turn: int | None = None
    attempt: int | None = None
    channel: str | None = None
    delivery_state: DeliveryState | None = None
    due_at: datetime | None = None
    started_at: datetime | None = None
    maybe_sent: bool = False
    reason: str = ""
    response: Response | None = None
    message: Content | None = None


class DeadLetter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message that cannot be delivered, whole."""

    v: int = version()
    id: str
    at: datetime
    target: int
    state: DeliveryState
    reason: str = ""
    row: Row


class Unreadable(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record or one element of it that could not be read: what, where it lay, and how to mend it."""

    v: int = version()
    topic: str
    partition: int
    offset: int
    element: int | None = None
    at: datetime
    fault: str
    field: str = ""
    remedy: str = ""
    value: Any = None
