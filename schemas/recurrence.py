"""When a schedule runs: a recurrence in a time zone, as instants (DESIGN section 7).

The nominal time of an occurrence is the UTC instant that its local time comes to, after gap and fold: two local times
that come to one instant are one occurrence. It identifies the occurrence: `<schedule id>@2026-11-24T02:00:00Z`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from heapq import heappop, heappush, merge
from typing import Annotated, NamedTuple

from msgspec import Meta

from schemas.message import Input
from schemas.recurrence_cron import cron_times
from schemas.recurrence_rule import Rule, read_rule, rule_times
from schemas.times import EPOCH
from schemas.zones import Fold, Gap, instants, offsets, zone

Local = Annotated[datetime, Meta(tz=False, description="a local time without offset, as 2026-01-01T09:00:00")]
DATES_MAX = 1_000
COUNT_MAX = 1_000_000
SECOND = timedelta(seconds=1)
LAST = datetime(9900, 1, 1, tzinfo=UTC)
YEARS = range(1900, 9001)
"""Of times that people give: reckoning around them stays within what datetime can hold."""


class Recurrence(Input, frozen=True, kw_only=True):
    """One of `cron`, `rrule` with `dtstart`, or `every`; see `check_timing`."""

    cron: Annotated[str, Meta(max_length=200, description="five fields, as '0 2 * * *'")] | None = None
    rrule: Annotated[str, Meta(max_length=1000, description="RFC 5545, as 'FREQ=WEEKLY;BYDAY=MO'")] | None = None
    dtstart: Local | None = None
    rdates: Annotated[tuple[Local, ...], Meta(max_length=DATES_MAX)] = ()
    exdates: Annotated[tuple[Local, ...], Meta(max_length=DATES_MAX)] = ()
    every: Annotated[timedelta, Meta(description="ISO 8601 duration, as PT15M: elapsed time")] | None = None
    anchor: Annotated[datetime, Meta(description="an instant that the intervals fall on")] | None = None


class Timing(Input, frozen=True, kw_only=True):
    """A recurrence where its local times are, from `start` to `end`, both included; checked when it was accepted.

    `start`, `end` and `anchor` without an offset are local times of the zone.
    """

    recurrence: Recurrence
    timezone: Annotated[str, Meta(max_length=100, description="IANA, as Europe/Rome")] = "UTC"
    gap: Gap = Gap.SHIFT_FORWARD
    fold: Fold = Fold.FIRST
    start: datetime | None = None
    end: datetime | None = None
    count: Annotated[int, Meta(ge=1, le=COUNT_MAX)] | None = None
    jitter: Annotated[timedelta, Meta(description="up to so much later than nominal")] = timedelta(0)


class Occurrence(NamedTuple):
    """One run: the instant that names it, and when it is due, which jitter makes later."""

    nominal: datetime
    due: datetime


def instant_of(timing: Timing, moment: datetime | None) -> datetime | None:
    """UTC; a time without offset is local, and where it does not exist, shifted forward."""
    if moment is None or moment.tzinfo is not None:
        return None if moment is None else moment.astimezone(UTC)
    return instants(moment, zone(timing.timezone), Gap.SHIFT_FORWARD, Fold.FIRST)[0]


def nominal_text(nominal: datetime) -> str:
    """`2026-11-24T02:00:00Z`: of one length, so that ids sort by time."""
    return f"{nominal.isoformat()[:19]}Z"


def occurrence_id(schedule_id: str, nominal: datetime) -> str:
    """`<schedule id>@2026-11-24T02:00:00Z`."""
    return f"{schedule_id}@{nominal_text(nominal)}"


def jittered_due(timing: Timing, schedule_id: str, nominal: datetime) -> datetime:
    """The due time: always the same for the same occurrence, evenly spread over the jitter, in milliseconds."""
    if not timing.jitter:
        return nominal
    draw = int.from_bytes(blake2b(occurrence_id(schedule_id, nominal).encode(), digest_size=4).digest()) / 2**32
    return nominal + timedelta(milliseconds=int(timing.jitter / timedelta(milliseconds=1) * draw))


def occurrences(timing: Timing, schedule_id: str, after: datetime, counted: int = 0) -> Iterator[Occurrence]:
    """All occurrences with a nominal time later than `after`, in order.

    `counted`: how many of the timing's `count` lie at or before `after`. Ends at `end`, `count`, or when for decades
    there is none.
    """
    start, end = instant_of(timing, timing.start), instant_of(timing, timing.end)
    if start is not None and after < start:
        after = start - SECOND
    left = None if timing.count is None else timing.count - counted
    for nominal in nominals(timing, after):
        if (end is not None and nominal > end) or (left is not None and left <= 0):
            return
        if left is not None:
            left -= 1
        yield Occurrence(nominal, jittered_due(timing, schedule_id, nominal))


def nominals(timing: Timing, after: datetime) -> Iterator[datetime]:
    """The instants of the recurrence alone, later than `after`, each once, in order."""
    recurrence = timing.recurrence
    if recurrence.every is not None:
        return _every(recurrence.every, instant_of(timing, recurrence.anchor) or EPOCH, after)
    if recurrence.cron is not None:
        cron = recurrence.cron
        return _ordered(timing, after, cron_times(cron, _since(timing, after)))
    assert recurrence.rrule is not None
    assert recurrence.dtstart is not None
    rule = read_rule(recurrence.rrule, recurrence.dtstart)
    return _with_dates(timing, after, rule, _ordered(timing, after, rule_times(rule, _since(timing, after))))


def _every(every: timedelta, anchor: datetime, after: datetime) -> Iterator[datetime]:
    moment = anchor + ((after - anchor) // every + 1) * every
    while moment <= LAST:
        yield moment
        moment += every


def _since(timing: Timing, after: datetime) -> datetime:
    """The first local time that can come to an instant later than `after`: earlier only where the clocks change nearby."""
    least, most = offsets(after, zone(timing.timezone))
    return (after + least - (most - least)).replace(tzinfo=None)


def _ordered(timing: Timing, after: datetime, times: Iterator[datetime]) -> Iterator[datetime]:
    """Instants in order, each once: where the clocks change nearby, later local times may come to earlier instants."""
    where, gap, fold = zone(timing.timezone), timing.gap, timing.fold
    waiting: list[datetime] = []
    last = after
    for local in times:
        if local.year > LAST.year:
            break
        plain = local.replace(tzinfo=UTC)
        least, most = offsets(plain - (local.replace(tzinfo=where).utcoffset() or timedelta(0)), where)
        for moment in instants(local, where, gap, fold):
            heappush(waiting, moment)
        settled = plain - most - (most - least)
        while waiting and waiting[0] <= settled:
            if (moment := heappop(waiting)) > last:
                last = moment
                yield moment
    while waiting:
        if (moment := heappop(waiting)) > last:
            last = moment
            yield moment


def _with_dates(timing: Timing, after: datetime, rule: Rule, regular: Iterator[datetime]) -> Iterator[datetime]:
    where = zone(timing.timezone)
    until = None if rule.until is None else instant_of(timing, rule.until.last)
    recurrence = timing.recurrence
    gone = {moment for local in recurrence.exdates for moment in instants(local, where, timing.gap, Fold.BOTH)}
    more = sorted(m for local in recurrence.rdates for m in instants(local, where, timing.gap, timing.fold))
    last = after
    bounded = _up_to(regular, until)
    for moment in merge(bounded, more):
        if moment > last and moment not in gone:
            last = moment
            yield moment


def _up_to(moments: Iterator[datetime], until: datetime | None) -> Iterator[datetime]:
    for moment in moments:
        if until is not None and moment > until:
            return
        yield moment
