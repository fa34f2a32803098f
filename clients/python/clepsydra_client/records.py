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
    attempts_left: int | None = None
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
    finished_at: datetime | None = None
    forgotten_at: datetime | None = None
    erased: bool = False
    channel: str | None = None
    to: str = ""
    targets: Any = ()
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
    """What became of one message that a filter found; `error` where it was refused.

    `result`: cancelled, partly_cancelled, accepted, would_cancel, would_reschedule, or the name of the problem.
    Without an id it is the last one, and tells why there are no more.
    """

    id: str | None
    status: int
    result: str
    state: str | None = None
    due_at: datetime | None = None
    revision: int | None = None
    results: Mapping[str, str] = field(default_factory=dict)
    error: ApiError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A delivery that is given up (`dead`), or of which nobody knows whether it arrived (`unknown`): a person decides."""

    id: str
    target: int
    state: str
    channel: str
    to: str = ""
    account: str | None = None
    attempts: int = 0
    due_at: datetime | None = None
    last_attempt_at: datetime | None = None
    held_since: datetime | None = None
    maybe_sent: bool = False
    reason: str = ""
    last_response: Response | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The limits of a flow as they are set; `held_back`: messages that are due and wait for the end of a pause."""

    key: str
    rate: int | None = None
    per: str = "PT1S"
    burst: int = 1
    parallelism: int | None = None
    paused: bool = False
    note: str = ""
    honours_key: bool | None = None
    timeout: str | None = None
    webhook_secrets: tuple[str, ...] = ()
    set_at: datetime | None = None
    held_back: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One due minute. Those in flight are pending or retrying too; latenesses are upper bounds."""

    minute: datetime
    life: str
    pending: int = 0
    in_flight: int = 0
    retrying: int = 0
    delivered: int = 0
    dead: int = 0
    cancelled: int = 0
    expired: int = 0
    unknown: int = 0
    attempted: int = 0
    on_time: int = 0
    lateness_ms_p50: int | None = None
    lateness_ms_p99: int | None = None
    lateness_ms_max: int | None = None
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Who owns a partition, and what it has to do; `silent`: nothing was heard of its owner for 15 s."""

    partition: int
    owner: str | None = None
    silent: bool = False
    since: datetime | None = None
    as_of: datetime | None = None
    rows: int = 0
    pending: Mapping[str, int] = field(default_factory=dict)
    in_flight: Mapping[str, int] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)
    paused: Mapping[str, int] = field(default_factory=dict)
    commands: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleChange:
    """A schedule as it now stands; `runs`: how many a backfill has made."""

    id: str
    state: str
    revision: int
    next_due_at: datetime | None = None
    runs: int | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """A run to come; `made`: its message is there already, under its id."""

    id: str
    nominal: datetime
    due_at: datetime
    made: bool = False
    exception: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What happened to a run, or to `times` in a row, the last at `until`."""

    nominal: datetime
    state: str
    at: datetime
    due_at: datetime | None = None
    reason: str = ""
    manual: bool = False
    times: int = 1
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """All that is known of a schedule; in a list without definition, exceptions and history."""

    id: str
    state: str
    revision: int
    recurrence: Mapping[str, Any]
    timezone: str
    note: str = ""
    paused: Mapping[str, Any] | None = None
    through: datetime | None = None
    next_due_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    definition: Mapping[str, Any] | None = None
    exceptions: Mapping[str, Any] = field(default_factory=dict)
    upcoming: tuple[Upcoming, ...] = ()
    history: tuple[Past, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """UTC instants; the zone's own clocks beside them. `ends`: there are no more."""

    occurrences: tuple[datetime, ...]
    local: tuple[datetime, ...]
    ends: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A way to send. `missing`: what to do before it can be used."""

    name: str
    usable: bool
    missing: str = ""
    honours_key: bool | None = None
    timeout: str | None = None
    concurrency: int | None = None
    retry_delays: tuple[str, ...] = ()
