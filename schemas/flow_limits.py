"""Limits of a flow: rate, burst, parallelism. When the next send may begin is a pure function of the state and the time.

The rule is GCRA, the generic cell rate algorithm (ITU-T I.371, 6.2.1, virtual scheduling): one number per flow, the
theoretical arrival time. A send may begin `burst - 1` intervals before it, and moves it by one interval.
"""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from schemas.message import Input, Name

SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
INTERVAL_US_MIN = 10
PER_MAX = timedelta(days=31)
MARGIN_PERCENT = 1
"""Intervals are longer by this: what leaves evenly comes in less evenly, and a receiver counts what comes in."""
CHANNEL_MARK = "channel:"
"""`channel:webhook` names the limits of a whole channel, among the flows."""

Count = Annotated[int, Meta(ge=1, le=1_000_000)]


class FlowLimits(Input, frozen=True, kw_only=True):
    """What a flow is held to. Raises ValueError, naming field, fault and remedy, for what cannot be kept."""

    rate: Annotated[Count, Meta(description="sends that may begin in each `per`; none: as many as can be")] | None = (
        None
    )
    per: Annotated[timedelta, Meta(description="ISO 8601 duration, PT1S if left out")] = SECOND
    burst: Annotated[Count, Meta(description="sends that may begin at once after a rest")] = 1
    parallelism: Annotated[Count, Meta(description="sends that may be under way at once")] | None = None
    paused: Annotated[bool, Meta(description="nothing is sent; messages wait and can be edited")] = False
    note: Annotated[str, Meta(max_length=500, description="why, for people")] = ""
    honours_key: Annotated[bool, Meta(description="whether its receivers drop a repeated delivery key")] | None = None
    timeout: Annotated[timedelta, Meta(description="of one attempt, PT1S to PT60S, at most the channel's")] | None = (
        None
    )
    webhook_secrets: Annotated[
        tuple[Annotated[str, Meta(pattern="^[A-Za-z0-9_]{1,100}$")], ...],
        Meta(max_length=3, description="names of secrets that sign its webhooks; while one replaces another, both"),
    ] = ()

    def __post_init__(self) -> None:
        check_limits(self)

    @property
    def interval_us(self) -> int:
        """Microseconds between sends, with the margin; 0 without a rate."""
        if self.rate is None:
            return 0
        return -(-(self.per // MICROSECOND) * (100 + MARGIN_PERCENT) // (self.rate * 100))


def check_limits(limits: FlowLimits) -> None:
    """Raises ValueError for what types cannot say."""
    if not timedelta(0) < limits.per <= PER_MAX:
        raise ValueError("`per` is not between 0 s and 31 days: give an ISO 8601 duration such as PT1S")
    if limits.rate is None and (limits.burst != 1 or limits.per != SECOND):
        raise ValueError("`rate` is missing: `burst` and `per` mean something beside it only")
    if limits.rate is not None and limits.per / limits.rate < INTERVAL_US_MIN * MICROSECOND:
        raise ValueError("`rate` is more than 100000 a second: leave it out, there is no limit then")
    if limits.timeout is not None and not SECOND <= limits.timeout <= 60 * SECOND:
        raise ValueError("`timeout` is not between 1 and 60 s: give an ISO 8601 duration such as PT5S")


def flow_key_fault(key: str) -> str | None:
    """What is wrong with the key of a flow, or None."""
    if not key or len(key) > 200 or not key.isprintable():
        return "has no name: give 1 to 200 printable characters, or channel:NAME for a whole channel"
    if key == CHANNEL_MARK:
        return "names no channel: write channel:webhook"
    return None


class Pace(Struct, frozen=True):
    """What GCRA needs of a flow's limits."""

    interval_us: int
    burst: int = 1


class Take(Struct, frozen=True):
    """It may begin now; the state after it."""

    state_us: int


class SlotAt(Struct, frozen=True):
    """It may begin at `at_ms`, rounded up, and that slot is its own: the state has it taken."""

    at_ms: int
    state_us: int


def pace_of(limits: FlowLimits, share: int = 1) -> Pace | None:
    """The pace of one of `share` equal parts; None without a rate."""
    if limits.rate is None:
        return None
    return Pace(limits.interval_us * share, max(1, limits.burst // share))


def free_at_us(state_us: int, now_us: int, pace: Pace) -> int:
    """When the next send may begin."""
    return max(now_us, state_us - (pace.burst - 1) * pace.interval_us)


def taken(state_us: int, at_us: int, pace: Pace) -> int:
    """The state after a send at this time."""
    return max(state_us, at_us) + pace.interval_us


def exhausted(at_us: int, pace: Pace) -> int:
    """The highest state that sends up to a time can have left: as after a whole burst just then."""
    return at_us + pace.burst * pace.interval_us


def gcra(state_us: int, now_ms: int, pace: Pace) -> Take | SlotAt:
    """The next slot, which is taken with the answer."""
    now_us = now_ms * 1_000
    at_us = free_at_us(state_us, now_us, pace)
    after = taken(state_us, at_us, pace)
    return Take(after) if at_us <= now_us else SlotAt(-(-at_us // 1_000), after)


FlowKey = Name
