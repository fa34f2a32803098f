"""What the overview shows, worked out of the API's answers: pure, so that a test can say what a page will."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

Window = Mapping[str, Any]
MINUTE = timedelta(minutes=1)
Mood = Literal["good", "watch", "bad"]

SERIES = (
    ("Delivered", "delivered", "#1a9a76"),
    ("Retrying", "retrying", "#d9920a"),
    ("Failed", "failed", "#d13c4b"),
    ("In flight", "in_flight", "#3b7ddd"),
    ("Pending", "pending", "#98a4b8"),
    ("Cancelled", "stopped", "#c9b8e8"),
)
"""Name, key in `parts`, colour: told apart in light and dark, and by people who do not see red and green apart."""


class Verdict(NamedTuple):
    """The page in a sentence."""

    mood: Mood
    headline: str
    detail: str


def minute_of(window: Window) -> datetime:
    """The window's minute, in UTC."""
    return datetime.fromisoformat(window["minute"]).astimezone(UTC)


def parts(window: Window) -> dict[str, int]:
    """A window's deliveries, each in one part: those in flight are taken out of pending, what remains of retrying."""
    pending = max(0, window["pending"] - window["in_flight"])
    retrying = max(0, window["retrying"] - max(0, window["in_flight"] - window["pending"]))
    return {
        "delivered": window["delivered"],
        "retrying": retrying,
        "failed": window["dead"] + window["unknown"],
        "in_flight": window["in_flight"],
        "pending": pending,
        "stopped": window["cancelled"] + window["expired"],
    }


def minutes(start: datetime, count: int) -> list[datetime]:
    """So many minutes from the one that `start` lies in."""
    first = start.replace(second=0, microsecond=0)
    return [first + n * MINUTE for n in range(count)]


def bars(windows: Iterable[Window], axis: Sequence[datetime]) -> list[list[int]]:
    """One row of counts for each of SERIES, one number for each minute of the axis."""
    known = {minute_of(w): parts(w) for w in windows}
    return [[known.get(minute, {}).get(key, 0) for minute in axis] for _, key, _ in SERIES]


def latenesses(windows: Iterable[Window], axis: Sequence[datetime], field: str) -> list[int | None]:
    """A quantile for each minute of the axis; None where nothing was tried."""
    known = {minute_of(w): w[field] for w in windows}
    return [known.get(minute) for minute in axis]


def verdict(
    windows: Sequence[Window], partitions: Sequence[Mapping[str, Any]], now: datetime, endpoints: int = 0
) -> Verdict:
    """Whether messages go out on time: owners missing, what is overdue, how late the last hour was, who does not answer."""
    silent = [str(p["partition"]) for p in partitions if p["silent"]]
    if silent:
        named = f"Partition {silent[0]} has" if len(silent) == 1 else f"Partitions {', '.join(silent)} have"
        return Verdict("bad", f"{named} no owner", "Their messages wait: start a scheduler, or read its log.")
    overdue = sum(p["pending"].get("overdue", 0) for p in partitions)
    waiting = sum(sum(p["waiting"].values()) for p in partitions)
    if waiting:
        return Verdict(
            "watch", f"{waiting:,} due messages wait for couriers", "Couriers are slower than what falls due."
        )
    past = [w for w in windows if minute_of(w) <= now]
    attempted, on_time = (sum(w[name] for w in past) for name in ("attempted", "on_time"))
    failed = sum(parts(w)["failed"] for w in past)
    share = 100 * on_time / attempted if attempted else 100.0
    counted = f"{on_time:,} of {attempted:,} messages of this hour went out within a second"
    if attempted and share < 99:
        return Verdict("watch", f"Late: {100 - share:.1f} % of this hour", counted)
    if endpoints:
        one = "1 endpoint does" if endpoints == 1 else f"{endpoints:,} endpoints do"
        return Verdict("watch", f"On time, {one} not answer", "What is sent there is put off; all else goes out.")
    if failed:
        return Verdict("watch", f"On time, {failed:,} could not be delivered", "See the dead letters.")
    detail = counted if attempted else f"Nothing was due in the last hour; {overdue:,} due now"
    return Verdict("good", "On time", detail)


def total(partitions: Iterable[Mapping[str, Any]], field: str) -> int:
    """The sum of a count by name over all partitions."""
    return sum(sum(p[field].values()) for p in partitions)


def by_channel(partitions: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """In flight, waiting and each kind of event told, by channel."""
    found: dict[str, dict[str, int]] = {}
    for p in partitions:
        for field in ("in_flight", "waiting"):
            for channel, n in p[field].items():
                row = found.setdefault(channel, {})
                row[field] = row.get(field, 0) + n
        for name, n in p["told"].items():
            kind, slash, channel = name.partition("/")
            if slash:
                row = found.setdefault(channel, {})
                row[kind] = row.get(kind, 0) + n
    return dict(sorted(found.items()))


def breakers(channels: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each endpoint that does not answer, with its channel."""
    return [
        {
            "channel": channel["name"],
            "endpoint": one["endpoint"],
            "failures": f"{one['failures']:,}",
            "silent since": clock_time(one["since"]),
            "tried again": clock_time(one["tried_again_at"]),
        }
        for channel in channels
        for one in channel.get("breakers", ())
    ]


def clock_time(moment: str) -> str:
    """The day and the time, to the second, in UTC."""
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def rate(before: int, after: int, seconds: float) -> float:
    """Events per second between two looks; an owner that began anew counts from nothing."""
    return (after - before if after >= before else after) / seconds if seconds > 0 else 0.0


def span(ms: float | None) -> str:
    """A length of time in the unit that reads best."""
    if ms is None:
        return "-"
    for limit, unit, name in ((1_000, 1, "ms"), (60_000, 1_000, "s"), (3_600_000, 60_000, "min")):
        if ms < limit:
            return f"{ms / unit:.3g} {name}"
    return f"{ms / 3_600_000:.3g} h"
