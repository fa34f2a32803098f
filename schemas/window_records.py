"""What owners tell on the topic `windows`: each due minute, and how each is. People see the sums over partitions."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import Struct

from schemas.lifecycle import DeliveryState
from schemas.times import at, ms_of
from schemas.versions import version
from schemas.windows import (
    COUNTED,
    LATENESS_MS,
    LATENESS_PLACE,
    LIVE_PLACES,
    Counts,
    WindowLife,
    lateness_place,
    life,
    quantile_ms,
    summed,
)


class WindowRecord(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="window"):
    """One due minute in one partition, under the key `<partition>/<minute>`; of an older epoch it is void.

    `in_flight`: deliveries in the couriers' hands, which `scheduled` and `retrying` count too. `lateness_ms`: how many
    first attempts were late by up to each bound of schemas.windows.LATENESS_MS, by that bound; `later` exceeded them all.
    """

    v: int = version()
    partition: int
    minute: datetime
    epoch: int
    at: datetime
    counts: dict[DeliveryState, int] = {}
    in_flight: int = 0
    lateness_ms: dict[int, int] = {}
    later: int = 0


class OwnerRecord(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="owner"):
    """Who owns a partition and how it is, under the key `<partition>/owner`; told anew every few seconds at least.

    `pending`: live deliveries by how far off their minute is. `waiting`: due, by channel, with no place in flight free.
    `paused`: due and held back, by the flow or `channel:<name>` that is paused.
    `held`: rows that are being written. `told`: events of each kind since this owner began, as `<kind>/<channel>`.
    """

    v: int = version()
    partition: int
    owner: str
    epoch: int
    since: datetime
    at: datetime
    rows: int = 0
    pending: dict[str, int] = {}
    in_flight: dict[str, int] = {}
    waiting: dict[str, int] = {}
    paused: dict[str, int] = {}
    commands: int = 0
    held: int = 0
    told: dict[str, int] = {}


HORIZONS_MS = {"overdue": 0, "1m": 60_000, "1h": 3_600_000, "1d": 86_400_000}
LATER = "later"


def pending_by_horizon(counts: Mapping[int, Counts], now_ms: int) -> dict[str, int]:
    """Live deliveries by how far off their due minute is: begun already, within a minute, an hour, a day, later."""
    found = dict.fromkeys((*HORIZONS_MS, LATER), 0)
    for minute, count in counts.items():
        live = count[LIVE_PLACES[0]] + count[LIVE_PLACES[1]]
        if live:
            found[_horizon(minute - now_ms)] += live
    return found


def _horizon(ahead_ms: int) -> str:
    return next((name for name, limit in HORIZONS_MS.items() if ahead_ms <= limit), LATER)


def owner_key(partition: int) -> str:
    """The Kafka key of an owner's record."""
    return f"{partition}/owner"


def window_key(partition: int, minute_ms: int) -> str:
    """The Kafka key of a window: `3/2026-11-24T08:00Z`."""
    return f"{partition}/{at(minute_ms):%Y-%m-%dT%H:%MZ}"


def window_record(
    partition: int, minute_ms: int, counts: Counts, in_flight: int, *, epoch: int, now_ms: int
) -> WindowRecord:
    """The record of a window's counts; zeros are left out."""
    buckets = zip(LATENESS_MS, counts[LATENESS_PLACE:], strict=False)
    return WindowRecord(
        partition=partition,
        minute=at(minute_ms),
        epoch=epoch,
        at=at(now_ms),
        counts={state: n for state, n in zip(COUNTED, counts, strict=False) if n},
        in_flight=in_flight,
        lateness_ms={bound: n for bound, n in buckets if n},
        later=counts[-1],
    )


def counts_of(record: WindowRecord) -> Counts:
    """The vector that a record was made of."""
    late = record.lateness_ms
    return (*(record.counts.get(s, 0) for s in COUNTED), *(late.get(bound, 0) for bound in LATENESS_MS), record.later)


def minute_ms_of(record: WindowRecord) -> int:
    """The window's first Unix millisecond."""
    return ms_of(record.minute)


ON_TIME_MS = 1_000


class Window(Struct, frozen=True, kw_only=True):
    """One due minute over all partitions. Those in flight are pending or retrying too; latenesses are upper bounds.

    `on_time`: of those `attempted`, whose first attempt began within a second of its due time.
    """

    minute: datetime
    life: WindowLife
    pending: int
    in_flight: int
    retrying: int
    delivered: int
    dead: int
    cancelled: int
    expired: int
    unknown: int
    attempted: int
    on_time: int
    lateness_ms_p50: int | None
    lateness_ms_p99: int | None
    lateness_ms_max: int | None
    as_of: datetime


def merged(minute_ms: int, parts: Iterable[WindowRecord], now_ms: int, look_ahead_ms: int) -> Window:
    """The sum of what each partition's owner told of one minute."""
    records = list(parts)
    counts = summed(map(counts_of, records))
    states = dict(zip(COUNTED, counts, strict=False))
    return Window(
        minute=at(minute_ms),
        life=life(minute_ms, counts, now_ms, look_ahead_ms),
        pending=states[DeliveryState.SCHEDULED],
        in_flight=sum(record.in_flight for record in records),
        attempted=sum(counts[LATENESS_PLACE:]),
        on_time=sum(counts[LATENESS_PLACE : lateness_place(ON_TIME_MS) + 1]),
        lateness_ms_p50=quantile_ms(counts, 0.5),
        lateness_ms_p99=quantile_ms(counts, 0.99),
        lateness_ms_max=quantile_ms(counts, 1),
        as_of=max((record.at for record in records), default=at(minute_ms)),
        **{state.value: states[state] for state in COUNTED if state is not DeliveryState.SCHEDULED},
    )
