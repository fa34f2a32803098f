"""What an owner tells of its windows: records that give their counts back, what has changed, a share at a time."""

import msgspec
import pytest
from builders import MINUTE, NOON
from fakes import FakeClock, FakeLog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sim_stores import SimMirror

from agents.window_teller import KEPT_MS, OWNER_TICKS, RECENT_MS, WINDOWS_SLICE, WindowTeller, Working
from schemas.lifecycle import DeliveryState
from schemas.times import at
from schemas.window_records import (
    OwnerRecord,
    WindowRecord,
    counts_of,
    merged,
    minute_ms_of,
    pending_by_horizon,
    window_key,
    window_record,
)
from schemas.windows import NOTHING, PLACE, WindowLife, added, lateness_place
from schemas.wire import read_window
from topology.watches import OwnerMetrics

decode = msgspec.json.Decoder(WindowRecord).decode
ONE = added(NOTHING, PLACE[DeliveryState.SCHEDULED], 1)
DONE = added(NOTHING, PLACE[DeliveryState.DELIVERED], 1)


@given(st.tuples(*(st.integers(0, 10**6) for _ in NOTHING)))
def test_a_record_gives_back_the_counts_it_was_made_of(counts):
    record = decode(msgspec.json.encode(window_record(3, NOON, counts, 2, epoch=7, now_ms=NOON)))
    assert counts_of(record) == counts
    assert (minute_ms_of(record), record.partition, record.in_flight, record.epoch) == (NOON, 3, 2, 7)


def test_the_key_of_a_window_is_its_partition_and_minute():
    assert window_key(3, 1_790_000_040_000) == "3/2026-09-21T14:14Z"


@pytest.fixture
def world():
    clock, mirror = FakeClock(NOON), SimMirror()
    log = FakeLog(clock)
    return clock, mirror, log, WindowTeller(0, "me", mirror, log, clock, OwnerMetrics(CollectorRegistry()))


def told(log):
    return {r.key.decode(): r.value and decode(r.value) for r in log.stored if not r.key.endswith(b"/owner")}


def owner_records(log):
    return [read_window(r.value) for r in log.stored if r.key.endswith(b"/owner")]


async def test_only_what_has_changed_is_told(world):
    _, mirror, log, teller = world
    mirror.counts = {NOON: ONE, NOON + MINUTE: ONE}
    mirror.untold = {NOON}
    await teller.tick(Working())
    await teller.tick(Working())
    assert [r.counts for r in told(log).values()] == [{DeliveryState.SCHEDULED: 1}]
    assert not mirror.untold


async def test_what_comes_into_flight_or_back_is_a_change(world):
    _, mirror, log, teller = world
    mirror.counts = {NOON: ONE}
    await teller.tick(Working(windows={NOON: 1}))
    await teller.tick(Working(windows={NOON: 1}))
    await teller.tick(Working())
    assert [decode(r.value).in_flight for r in log.stored if b"owner" not in r.key] == [1, 0]


async def test_a_new_owner_tells_what_a_former_one_may_have_left_untold(world):
    _, mirror, log, teller = world
    old = NOON - RECENT_MS - MINUTE
    mirror.counts = {old - MINUTE: DONE, old: ONE, NOON: DONE, NOON + 999 * MINUTE: ONE}
    teller.begin(5)
    await teller.tick(Working())
    assert {minute_ms_of(r) for r in told(log).values()} == {old, NOON, NOON + 999 * MINUTE}
    assert {r.epoch for r in told(log).values()} == {5}


async def test_a_crowd_of_windows_is_told_a_share_at_a_time_the_nearest_first(world):
    _, mirror, log, teller = world
    minutes = [NOON + n * MINUTE for n in range(WINDOWS_SLICE + 3)]
    mirror.counts = dict.fromkeys(minutes, ONE)
    mirror.untold = set(minutes)
    await teller.tick(Working())
    assert mirror.untold == set(minutes[WINDOWS_SLICE:])
    await teller.tick(Working())
    assert len(told(log)) == WINDOWS_SLICE + 3


async def test_what_is_older_than_ninety_days_is_forgotten(world):
    _, mirror, log, teller = world
    old = NOON - KEPT_MS - MINUTE
    mirror.counts = {old: DONE, NOON: DONE}
    await teller.tick(Working())
    assert mirror.counts == {NOON: DONE}
    assert told(log) == {window_key(0, old): None}


async def test_an_owner_tells_how_it_is_at_once_and_then_every_few_seconds(world):
    _, mirror, log, teller = world
    mirror.counts = {NOON: ONE, NOON + 2 * MINUTE: ONE}
    teller.begin(7)
    teller.decided("delivered", "log", 3)
    for _ in range(OWNER_TICKS + 1):
        await teller.tick(Working(in_flight={"log": 4}, waiting={"log": 5}, commands=6))
    first, second = owner_records(log)
    assert first == second == OwnerRecord(
        partition=0, owner="me", epoch=7, since=at(NOON), at=at(NOON), rows=0, in_flight={"log": 4}, waiting={"log": 5},
        pending={"overdue": 1, "1m": 0, "1h": 1, "1d": 0, "later": 0}, commands=6, told={"delivered/log": 3},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ahead_ms", "horizon"),
    [(-MINUTE, "overdue"), (0, "overdue"), (1, "1m"), (MINUTE, "1m"), (3_600_000, "1h"), (86_400_001, "later")],
)
def test_what_is_pending_is_told_by_how_far_off_it_is(ahead_ms, horizon):
    found = pending_by_horizon({NOON + ahead_ms: added(ONE, PLACE[DeliveryState.RETRYING], 2)}, NOON)
    assert {name: n for name, n in found.items() if n} == {horizon: 3}


def test_a_window_is_the_sum_of_its_partitions():
    late = added(DONE, lateness_place(80), 1)
    parts = [window_record(n, NOON, c, n, epoch=1, now_ms=NOON + n) for n, c in enumerate((ONE, late, late))]
    window = merged(NOON, parts, NOON, 2 * MINUTE)
    assert (window.pending, window.delivered, window.in_flight) == (1, 2, 3)
    assert (window.attempted, window.on_time) == (2, 2)
    assert (window.lateness_ms_p50, window.lateness_ms_p99) == (100, 100)
    assert (window.life, window.as_of) == (WindowLife.EMITTING, at(NOON + 2))
