"""`/v1/windows` and `/v1/partitions`: what is in each due minute, and who owns what."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Annotated, TypeVar

from aiokafka.errors import KafkaError
from fastapi import APIRouter, Query, Response
from msgspec import Struct

from agents.ports import Clock, LogBrokenError
from gateway.answers import json_response
from gateway.openapi import Shown, described
from gateway.problems import ProblemError, invalid
from schemas.times import MINUTE_MS, at, ms_of
from schemas.window_records import OwnerRecord, Window
from schemas.wire import Fault
from topology.windows_view import KEPT_MS, WindowsView

T = TypeVar("T")
HOUR_MS = 60 * MINUTE_MS
SILENT_MS = 15_000
"""Owners tell how they are every 5 s; one that is silent for so long is not there."""


class Windows(Struct, frozen=True, kw_only=True):
    """Due minutes in order; those with nothing in them are left out."""

    as_of: datetime
    windows: list[Window]


class PartitionView(Struct, frozen=True, kw_only=True):
    """Who owns a partition, and what it has to do. `silent`: nothing was heard of it for 15 s."""

    partition: int
    owner: str | None
    silent: bool
    since: datetime | None = None
    as_of: datetime | None = None
    rows: int = 0
    pending: dict[str, int] = {}
    in_flight: dict[str, int] = {}
    waiting: dict[str, int] = {}
    paused: dict[str, int] = {}
    commands: int = 0
    told: dict[str, int] = {}


class Partitions(Struct, frozen=True, kw_only=True):
    """All partitions."""

    as_of: datetime
    partitions: list[PartitionView]


From = Annotated[str | None, Query(alias="from", description="RFC 3339 with offset; an hour ago if left out")]
Until = Annotated[
    str | None, Query(alias="to", description="RFC 3339 with offset, not included; in an hour if left out")
]

MINUTE = {
    "minute": "2026-11-24T08:00:00Z", "life": "emitting", "pending": 40, "in_flight": 40, "retrying": 2,
    "delivered": 4958, "dead": 0, "cancelled": 3, "expired": 0, "unknown": 0, "attempted": 4960, "on_time": 4960,
    "lateness_ms_p50": 100, "lateness_ms_p99": 500, "lateness_ms_max": 500, "as_of": "2026-11-24T08:00:01.204Z",
}  # fmt: skip
WINDOWS = described(
    "read",
    {200: Shown("found", Windows, {"as_of": "2026-11-24T08:00:01.310Z", "windows": [MINUTE]})},
    (422, 503),
)
OWNER = {"partition": 0, "owner": "scheduler-0", "silent": False, "as_of": "2026-11-24T08:00:01Z", "rows": 81204}
PARTITIONS = described(
    "read", {200: Shown("found", Partitions, {"as_of": "2026-11-24T08:00:01.310Z", "partitions": [OWNER]})}, (503,)
)


def windows_router(view: WindowsView, clock: Clock, partitions: int) -> APIRouter:
    """What is pending, in flight and done by due minute; and how the owners are."""
    router = APIRouter(prefix="/v1", tags=["windows"])

    @router.get("/windows", summary="What is in each due minute, and how late it was", **WINDOWS)
    async def windows(from_: From = None, to: Until = None) -> Response:
        """Counts are exact as of the owners' last word, at most about a second ago; latenesses are upper bounds."""
        now = clock.now_ms()
        start = _minute(from_, "from", now - HOUR_MS)
        until = _minute(to, "to", now + HOUR_MS)
        _check_span(start, until, now)
        return json_response(Windows(as_of=at(now), windows=await told(view.windows(start, until))))

    @router.get("/partitions", summary="Who owns each partition, and what waits there", **PARTITIONS)
    async def owners() -> Response:
        """A partition without an owner sends nothing: `silent` says so."""
        now = clock.now_ms()
        known = await told(view.owners())
        shown = [_partition(n, known.get(n), now) for n in range(partitions)]
        return json_response(Partitions(as_of=at(now), partitions=shown))

    return router


async def told(asked: Awaitable[T]) -> T:
    """What is read of the topic `windows`. Raises ProblemError 503 where it cannot be."""
    try:
        return await asked
    except (KafkaError, LogBrokenError) as fault:
        detail = f"the topic `windows` cannot be read: {fault}; ask again, and look at the brokers"
        raise ProblemError(503, "unavailable", "Not now", detail, headers={"Retry-After": "1"}) from None


def _minute(text: str | None, name: str, default_ms: int) -> int:
    """The minute that a time lies in, as its first Unix millisecond. Raises ProblemError 422."""
    if text is None:
        return default_ms // MINUTE_MS * MINUTE_MS
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(Fault(name, f"{text!r} is no time", "write RFC 3339, as in 2026-11-24T08:00:00Z")) from None
    if found.tzinfo is None:
        raise invalid(Fault(name, f"{text!r} has no offset", f"add one, as in {text}Z (in an address, + is %2B)"))
    return ms_of(found) // MINUTE_MS * MINUTE_MS


def _check_span(start: int, until: int, now: int) -> None:
    if until <= start:
        raise invalid(Fault("to", "is not after `from`", "ask for at least a minute"))
    if start < now - KEPT_MS:
        raise invalid(Fault("from", "is more than 8 days ago", "older windows are in the topic `windows` for 90 days"))
    if until - start > KEPT_MS:
        raise invalid(Fault("to", "is more than 8 days after `from`", "ask for one part after the other"))


def _partition(number: int, owner: OwnerRecord | None, now: int) -> PartitionView:
    if owner is None:
        return PartitionView(partition=number, owner=None, silent=True)
    return PartitionView(
        partition=number,
        owner=owner.owner,
        silent=now - ms_of(owner.at) > SILENT_MS,
        since=owner.since,
        as_of=owner.at,
        rows=owner.rows,
        pending=owner.pending,
        in_flight=owner.in_flight,
        waiting=owner.waiting,
        paused=owner.paused,
        commands=owner.commands,
        told=owner.told,
    )
