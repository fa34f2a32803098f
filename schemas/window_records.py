"""What an owner tells of one due minute, on the topic `windows`: sums of all partitions are what people see."""

from datetime import datetime

from msgspec import Struct

from schemas.lifecycle import DeliveryState
from schemas.times import at, ms_of
from schemas.versions import version
from schemas.windows import COUNTED, LATENESS_MS, LATENESS_PLACE, Counts


class WindowRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
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
