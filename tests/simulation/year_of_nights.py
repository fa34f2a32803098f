"""A year of nightly runs: each app each night exactly once, or cancelled as asked, with restarts between any two writes."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

from night_shift import DAY, HOUR, NightShift

from schemas.recurrence import nominal_text, occurrences
from schemas.times import at, ms_of

MONDAY = datetime(2026, 9, 21, tzinfo=UTC)


class Year(NamedTuple):
    """What came of it."""

    sent: int
    cancelled: int
    moved: int
    restarts: int


class Changes(NamedTuple):
    """What was asked of single occurrences, and answered."""

    cancelled: set[str]
    moved: dict[str, int]


def year_of_nights(apps: int, nights: int, seed: int) -> Year:
    """Raises AssertionError where a run is missing or double."""
    s = NightShift(seed, restarts=min(0.02, 2 / apps), now_ms=ms_of(MONDAY))
    changes = Changes(set(), {})
    for n in range(apps):
        _put(s, n)
    for _ in range(nights):
        _night(s, apps, changes)
    s.work(s.now_ms + DAY)
    _check(s, apps, changes)
    return Year(sum(s.sent.values()), len(changes.cancelled), len(changes.moved), s.restarted)


def _put(s: NightShift, n: int) -> None:
    r = s.random
    s.put(
        f"app-{n}",
        recurrence={"cron": f"{r.randrange(60)} {r.randrange(1, 5)} * * *"},
        timezone="Europe/Rome",
        missed="all",
        catch_up=timedelta(days=2),
        jitter=timedelta(minutes=r.choice((0, 10))),
    )


def _night(s: NightShift, apps: int, changes: Changes) -> None:
    s.work(s.now_ms + 12 * HOUR)
    for _ in range(max(1, apps // 50)):
        _one_change(s, s.random.randrange(apps), changes)
    if s.random.random() < 0.05:
        s.sleep(s.now_ms + s.random.randrange(30 * HOUR))
    s.work(s.now_ms + 12 * HOUR)
    s.forget()


def _one_change(s: NightShift, n: int, changes: Changes) -> None:
    row = s.table.get(f"app-{n}")
    coming = list(islice(occurrences(row.definition, row.id, at(s.now_ms)), 12))
    occurrence = s.random.choice(coming)
    name = row.id_of(nominal_text(occurrence.nominal))
    if name in changes.moved or name in changes.cancelled:
        return
    if s.random.random() < 0.5:
        if s.cancel(name).result == "cancelled":
            changes.cancelled.add(name)
    else:
        due = ms_of(occurrence.nominal) + s.random.randrange(-6, 30) * HOUR
        if due > s.now_ms and s.move(name, due).result == "accepted":
            changes.moved[name] = due


def _check(s: NightShift, apps: int, changes: Changes) -> None:
    assert s.restarted > apps // 10
    doubles = {name: count for name, count in s.sent.items() if count != 1}
    assert not doubles
    for n in range(apps):
        _each_night(s, n, changes)
    taken = defaultdict(list)
    for name, moment in s.sent_at.items():
        taken[name.partition("!")[0]].append(moment)
    for name, due in changes.moved.items():
        assert all(moment >= due for moment in taken[name])


def _each_night(s: NightShift, n: int, changes: Changes) -> None:
    row = s.table.get(f"app-{n}")
    for occurrence in occurrences(row.definition, row.id, MONDAY):
        if ms_of(occurrence.due) > s.now_ms - 2 * HOUR:
            return
        name = row.id_of(nominal_text(occurrence.nominal))
        if changes.moved.get(name, 0) <= s.now_ms - HOUR:
            assert (name in s.sent) != (name in changes.cancelled), (
                name, name in changes.cancelled, changes.moved.get(name),
            )  # fmt: skip
