"""What couriers tell of their open breakers, and what people see: one line for each endpoint of a channel."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import Struct

from schemas.breaker import Breaker
from schemas.settings_records import Breakers, OpenBreaker
from schemas.times import at, ms_of

TOLD_MAX = 50
AGAIN_MS = 30_000
"""So often a courier tells the same again: silence means something."""
SILENT_MS = 3 * AGAIN_MS
UNTRIED_MS = 60_000
"""An endpoint that nothing was sent to for so long after its probe was due is of no interest: nothing waits for it."""


class BreakerView(Struct, frozen=True, kw_only=True):
    """An endpoint that does not answer, as `couriers` of them say. Nothing is sent there before `tried_again_at`."""

    endpoint: str
    since: datetime
    tried_again_at: datetime
    failures: int
    couriers: int


def told(channel: str, key: str, known: Mapping[str, Breaker], now_ms: int) -> Breakers:
    """What a courier says of one channel now."""
    found = {
        shown(place): OpenBreaker(
            endpoint=shown(place), failures=b.failures, since=at(b.since_ms), until=at(b.until_ms)
        )
        for place, b in known.items()
        if b.is_open and now_ms - b.until_ms < UNTRIED_MS
    }
    first = tuple(found[name] for name in sorted(found)[:TOLD_MAX])
    return Breakers(key=key, channel=channel, at=at(now_ms), open=first)


def shown(endpoint: str) -> str:
    """An address as people may see it: in a URL that is not the web's, what follows the scheme may be a token."""
    scheme, mark, _ = endpoint.partition("://")
    return endpoint if not mark or scheme in ("http", "https") else f"{scheme}://…"


def is_silent(record: Breakers, now_ms: int) -> bool:
    """Whether the courier that wrote it has not told anything for so long that it is not there any more."""
    return now_ms - ms_of(record.at) > SILENT_MS


def seen(records: Iterable[Breakers], now_ms: int) -> dict[str, list[BreakerView]]:
    """By channel, in order of their names; what couriers say of one endpoint is put together."""
    found: dict[str, dict[str, BreakerView]] = {}
    for record in records:
        if is_silent(record, now_ms):
            continue
        for b in record.open:
            views = found.setdefault(record.channel, {})
            views[b.endpoint] = _joined(views.get(b.endpoint), b)
    return {channel: [views[name] for name in sorted(views)] for channel, views in found.items()}


def _joined(view: BreakerView | None, b: OpenBreaker) -> BreakerView:
    if view is None:
        return BreakerView(
            endpoint=b.endpoint, since=b.since, tried_again_at=b.until, failures=b.failures, couriers=1
        )  # fmt: skip
    return BreakerView(
        endpoint=b.endpoint,
        since=min(view.since, b.since),
        tried_again_at=min(view.tried_again_at, b.until),
        failures=view.failures + b.failures,
        couriers=view.couriers + 1,
    )
