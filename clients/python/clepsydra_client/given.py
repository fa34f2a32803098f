"""What a caller gives. Times are datetimes with a tzinfo, or RFC 3339 text; lengths of time timedeltas, or ISO 8601."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Required, TypedDict

Moment = datetime | str
Length = timedelta | str


class NewTarget(TypedDict, total=False):
    """One receiver of a message with many."""

    channel: Required[str]
    to: str
    flow: str | None


class Retry(TypedDict):
    """The delays between attempts, in place of the channel's own."""

    delays: Sequence[Length]


class OnFinished(TypedDict, total=False):
    """Where to tell that a message is finished, and in which states of it."""

    url: Required[str]
    states: Sequence[str]


class Body(TypedDict, total=False):
    """What a message is, apart from its id and its time.

    `body`: text, bytes, or any JSON. `channel` and `to`, or `targets` in their place.
    """

    channel: str
    to: str
    targets: Sequence[NewTarget]
    body: Any
    body_base64: str
    content_type: str | None
    headers: Mapping[str, str]
    account: str | None
    flow: str | None
    priority: int
    retry: Retry | None
    tags: Sequence[str]
    metadata: Mapping[str, Any]
    on_finished: OnFinished | None


class NewMessage(Body, total=False):
    """A message to schedule. Without `id` it gets one, of its Idempotency-Key."""

    id: str
    due_at: Required[Moment]
    expires_at: Moment | None
    allow_past: bool
    timezone: str
    gap: Literal["skip", "shift_forward", "shift_back"]
    fold: Literal["first", "second"]


class Changes(TypedDict, total=False):
    """What to change: what is left out stays, None takes a value away."""

    due_at: Moment
    timezone: str
    gap: Literal["skip", "shift_forward", "shift_back"]
    fold: Literal["first", "second"]
    to: str
    body: Any
    body_base64: str | None
    content_type: str | None
    headers: Mapping[str, str]
    priority: int
    expires_at: Moment | None
    retry: Retry | None
    tags: Sequence[str]
    metadata: Mapping[str, Any]
    allow_past: bool


class Which(TypedDict, total=False):
    """Which messages: all that is given must hold. `due_from` is part of it, `due_to` is not; `q`: ids that begin so."""

    state: str | Sequence[str]
    account: str
    tag: str
    channel: str
    due_from: Moment
    due_to: Moment
    q: str


class Filter(TypedDict, total=False):
    """Which messages to cancel or move: those not finished, of which all that is given holds. `all`: without a filter."""

    account: str
    tag: str
    channel: str
    due_from: Moment
    due_to: Moment
    all: bool


class WhichLetters(TypedDict, total=False):
    """Which dead letters: `state` is dead or unknown, both without it."""

    state: str | Sequence[str]
    account: str
    channel: str


class Limits(TypedDict, total=False):
    """The limits of a flow, all of them: what is left out is no limit. `rate` sends in each `per`, one second."""

    rate: int | None
    per: Length
    burst: int
    parallelism: int | None
    paused: bool
    note: str
    honours_key: bool | None
    timeout: Length | None
    webhook_secrets: Sequence[str]


class Cron(TypedDict):
    """As in `{"cron": "0 2 * * *"}`."""

    cron: str


class Rule(TypedDict, total=False):
    """RFC 5545, as in `{"rrule": "FREQ=DAILY", "dtstart": "2027-01-01T09:00:00"}`; local times."""

    rrule: Required[str]
    dtstart: Required[str]
    rdates: Sequence[str]
    exdates: Sequence[str]


class Every(TypedDict, total=False):
    """At even intervals, as in `{"every": "PT15M"}`."""

    every: Required[Length]
    anchor: Moment


Recurrence = Cron | Rule | Every
Gap = Literal["skip", "shift_forward", "shift_back"]
Fold = Literal["first", "second", "both"]


class Template(Body, total=False):
    """What is sent each time; so long after its due time, `expires_after`, not any more."""

    expires_after: Length


class Definition(TypedDict, total=False):
    """A schedule."""

    recurrence: Recurrence
    timezone: str
    gap: Gap
    fold: Fold
    message: Template
    missed: Literal["skip", "latest", "all"]
    catch_up: Length
    overlap: Literal["allow", "skip"]
    jitter: Length
    start: Moment | None
    end: Moment | None
    count: int | None
    note: str | None


class NewSchedule(Definition, total=False):
    """A schedule to make. Without `id` it gets one, of its Idempotency-Key."""

    id: str
