"""The mirror of a timetable partition, on a real disk."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import Raw
from msgspec.structs import replace

from agents.ports import Change, Due, Loaded
from schemas.lifecycle import DeliveryState
from schemas.message import Content, Target
from schemas.rows import Delivery, Row
from schemas.times import at, ms_of
from schemas.windows import NOTHING, PLACE, added, count_changes
from schemas.wire import encode, read_placed
from topology.disk import BROKEN_NAME
from topology.met_ids import BITS_MIN, MetIds
from topology.mirror import open_mirror
from topology.mirror_batch import MirrorBatch

NOON = 1_790_000_040_000
DAY_MS = 86_400_000


def a_row(message_id="m-1", due_ms=NOON, targets=1, **changes):
    message = Content(
        id=message_id,
        due_at=at(due_ms),
        targets=tuple(Target(channel="webhook", to=f"https://{n}.example") for n in range(targets)),
        body=Raw(b'{"text":"hello"}'),
    )
    row = Row(
        epoch=3,
        id=message_id,
        birth=7,
        original="0" * 16,
        message=message,
        deliveries=tuple(
            Delivery(target=n, channel="webhook", due_at=message.due_at, turn_epoch=3) for n in range(targets)
        ),
        created_at=at(NOON - DAY_MS),
        updated_at=at(NOON - DAY_MS),
    )
    return replace(row, **changes)


def finished(row, forget_ms=NOON + DAY_MS):
    done = tuple(replace(d, state=DeliveryState.DELIVERED) for d in row.deliveries)
    return replace(row, deliveries=done, forget_at=at(forget_ms))


def change(old, row):
    return Change((row or old).id, old, row, encode(row) if row is not None else None)


class Opener:
    """Opens the mirror of one test again and again; what it warned of is in `warnings`."""

    def __init__(self, path):
        self.path = path
        self.warnings = []
        self.mirrors = []

    def __call__(self, **given):
        for mirror in self.mirrors:
            mirror.close()
        settings = {
            "cluster_id": "c", "topic_id": "t", "log_start": 0, "log_end": 1000,
            "now_ms": NOON, "max_sleep_ms": 3 * DAY_MS, "warn": self.warnings.append,
        }  # fmt: skip
        self.mirrors.append(open_mirror(self.path, **(settings | given)))
        return self.mirrors[-1]


@pytest.fixture
def opened(tmp_path):
    opener = Opener(tmp_path / "mirror")
    yield opener
    for mirror in opener.mirrors:
        mirror.close()


def test_a_new_mirror_is_empty_and_begins_at_the_logs_start(opened):
    mirror = opened()
    assert (mirror.applied, mirror.epoch, mirror.commands, mirror.acks) == (0, -1, 0, 0)
    assert (mirror.rows(), mirror.counts, mirror.voids) == (0, {}, set())
    assert mirror.get("m-1") is None
    assert mirror.due_from(None, NOON, 10) == []
    assert opened.warnings == []


def test_everything_is_there_again_after_a_restart(opened):
    mirror = opened()
    row = a_row(targets=2)
    mirror.epoch, mirror.commands, mirror.acks = 12, 34, 56
    mirror.unsaid = ("lapsed",)
    mirror.voids.add("zombie")
    mirror.apply([change(None, row)], 40)
    again = opened()
    assert (again.applied, again.epoch, again.commands, again.acks) == (40, 12, 34, 56)
    assert (again.voids, again.unsaid) == ({"zombie"}, ("lapsed",))
    assert again.rows() == 1
    assert again.get("m-1") == row
    assert again.counts == mirror.counts == {NOON: added(NOTHING, PLACE[DeliveryState.SCHEDULED], 2)}
    assert again.due_from(None, NOON, 10) == [Due(NOON, "m-1", 0), Due(NOON, "m-1", 1)]
    assert opened.warnings == []


def test_deliveries_come_in_order_of_due_time_id_and_target(opened):
    mirror = opened()
    rows = [a_row("b", NOON), a_row("a@x", NOON + 1), a_row("ab", NOON, targets=3), a_row("a", NOON), a_row("é", NOON)]
    mirror.apply([change(None, row) for row in rows], 5)
    expected = [
        Due(NOON, "a", 0), Due(NOON, "ab", 0), Due(NOON, "ab", 1), Due(NOON, "ab", 2), Due(NOON, "b", 0),
        Due(NOON, "é", 0), Due(NOON + 1, "a@x", 0),
    ]  # fmt: skip
    assert mirror.due_from(None, NOON + 1, 100) == expected == sorted(expected)
    assert mirror.due_from(None, NOON, 100) == expected[:6]
    assert mirror.due_from(None, NOON + 1, 2) == expected[:2]
    for n, due in enumerate(expected):
        assert mirror.due_from(due, NOON + 1, 100) == expected[n + 1 :]


def test_a_delivery_that_comes_before_what_was_looked_at_is_found(opened):
    mirror = opened()
    mirror.apply([change(None, a_row("late", NOON + 5))], 1)
    assert mirror.due_from(None, NOON, 10) == []
    assert mirror.due_from(None, NOON + 5, 10) == [Due(NOON + 5, "late", 0)]
    mirror.apply([change(None, a_row("early", NOON - 5))], 2)
    assert mirror.due_from(None, NOON, 0) == []
    assert mirror.due_from(None, NOON, 10) == [Due(NOON - 5, "early", 0)]


def test_only_live_deliveries_are_due(opened):
    mirror = opened()
    row = a_row(targets=2)
    one_done = replace(row, deliveries=(replace(row.deliveries[0], state=DeliveryState.DEAD), row.deliveries[1]))
    mirror.apply([change(None, row)], 1)
    mirror.apply([change(row, one_done)], 2)
    assert mirror.due_from(None, NOON, 10) == [Due(NOON, "m-1", 1)]
    assert mirror.counts == {NOON: added(added(NOTHING, PLACE[DeliveryState.DEAD], 1), 0, 1)}


def test_a_message_that_was_moved_is_due_at_its_new_time_only_and_counted_in_its_new_window(opened):
    mirror = opened()
    old, new = a_row(due_ms=NOON), a_row(due_ms=NOON + 120_000)
    mirror.apply([change(None, old)], 1)
    mirror.apply([change(old, new)], 2)
    assert mirror.due_from(None, NOON + DAY_MS, 10) == [Due(NOON + 120_000, "m-1", 0)]
    assert mirror.counts == {NOON: NOTHING, NOON + 120_000: added(NOTHING, 0, 1)}
    assert opened().counts == mirror.counts


def test_finished_messages_are_forgotten_oldest_first_and_stay_counted(opened):
    mirror = opened()
    rows = [a_row(name) for name in ("first", "second", "third")]
    done = [finished(row, NOON + n) for n, row in enumerate(rows)]
    mirror.apply([change(None, row) for row in rows], 3)
    mirror.apply([change(old, new) for old, new in zip(rows, done, strict=True)], 6)
    assert mirror.to_forget(NOON - 1, 10) == []
    assert mirror.to_forget(NOON + 1, 10) == ["first", "second"]
    assert mirror.to_forget(NOON + 2, 1) == ["first"]
    mirror.apply([change(done[0], None)], 7)
    assert mirror.to_forget(NOON + 2, 10) == ["second", "third"]
    assert mirror.get("first") is None
    assert mirror.rows() == 2
    assert mirror.counts[NOON][PLACE[DeliveryState.DELIVERED]] == 3


def test_counts_add_up_within_one_batch(opened):
    mirror = opened()
    row = a_row()
    done = finished(row)
    mirror.apply([change(None, row), change(row, done)], 2)
    assert sum(by for _, _, by in (*count_changes(None, row), *count_changes(row, done))) == 1
    assert mirror.counts[NOON][PLACE[DeliveryState.DELIVERED]] == 1
    assert sum(mirror.counts[NOON]) == 1
    assert mirror.due_from(None, NOON, 10) == []


def test_old_windows_can_be_dropped(opened):
    mirror = opened()
    mirror.apply([change(None, a_row("a", NOON)), change(None, a_row("b", NOON + 60_000))], 2)
    assert mirror.drop_windows(NOON + 60_000) == [NOON]
    assert list(opened().counts) == [NOON + 60_000]


def test_a_wiped_mirror_is_as_new(opened):
    mirror = opened()
    mirror.epoch = 9
    mirror.apply([change(None, a_row())], 40)
    mirror.wipe()
    assert (mirror.applied, mirror.epoch, mirror.rows(), mirror.counts) == (0, -1, 0, {})
    assert mirror.due_from(None, NOON, 10) == []
    mirror.apply([change(None, a_row("other"))], 3)
    assert opened().get("other") is not None


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({"cluster_id": "other"}, "cluster"),
        ({"topic_id": "other"}, "made anew"),
        ({"log_end": 39}, "not in the log"),
        ({"log_start": 41}, "not in the log"),
        ({"now_ms": NOON + 3 * DAY_MS}, "tombstones"),
    ],
)
def test_a_mirror_that_may_differ_from_the_log_is_rebuilt_with_a_warning(opened, now, reason):
    opened().apply([change(None, a_row())], 40)
    mirror = opened(**now)
    assert (mirror.applied, mirror.rows()) == (0, 0)
    assert len(opened.warnings) == 1
    assert reason in opened.warnings[0]


def test_a_mirror_that_slept_long_is_good_where_nothing_was_written_meanwhile(opened):
    opened().apply([change(None, a_row())], 40)
    assert opened(now_ms=NOON + 300 * DAY_MS, log_end=40).rows() == 1
    assert opened.warnings == []


def test_a_damaged_mirror_is_rebuilt_with_a_warning(opened):
    mirror = opened()
    mirror.apply([change(None, a_row())], 40)
    mirror.close()
    (opened.path / "CURRENT").write_text("nonsense\n")
    assert opened().applied == 0
    assert "rebuilt from the log" in opened.warnings[0]


def test_a_mirror_that_failed_while_in_use_is_rebuilt(opened):
    opened().apply([change(None, a_row())], 40)
    (opened.path / BROKEN_NAME).touch()
    assert opened().applied == 0
    assert len(opened.warnings) == 1
    assert opened().applied == 0
    assert len(opened.warnings) == 1


def test_the_last_record_is_as_old_as_the_newest_row(opened):
    mirror = opened()
    mirror.apply([change(None, a_row(updated_at=at(NOON) - timedelta(hours=1)))], 1)
    assert mirror.seen_ms == ms_of(at(NOON) - timedelta(hours=1))
    mirror.apply([], 2)
    assert mirror.seen_ms == NOON - 3_600_000


def loaded(row):
    value = encode(row)
    return Loaded(row.id, read_placed(value), value)


def test_a_load_into_an_empty_mirror_counts_a_row_that_comes_again_once(opened):
    mirror, rows = opened(), [a_row(f"m-{n}") for n in range(50)]
    mirror.load(map(loaded, rows), 50)
    mirror.load(map(loaded, [finished(row) for row in rows[:20]]), 70)
    assert mirror.rows() == 50
    assert sum(mirror.counts[NOON // 60_000 * 60_000]) == 50
    assert len(mirror.due_from(None, NOON, 100)) == 30


def test_a_load_after_a_write_finds_what_was_written(opened):
    mirror = opened()
    mirror.apply([change(None, a_row())], 1)
    mirror.load([loaded(finished(a_row()))], 2)
    assert (mirror.rows(), mirror.due_from(None, NOON, 10)) == (1, [])


def test_an_id_that_was_met_never_looks_new():
    met = MetIds(most=1_000)
    ids = [f"m-{n}" for n in range(BITS_MIN // 4)]
    new = sum(not met.meet(i) for i in ids)
    assert all(met.meet(i) for i in ids)
    assert new > len(ids) * 0.8


LOADER = """
import os, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from test_mirror import NOON, a_row, change
from topology.mirror import open_mirror
from topology.mirror_batch import MirrorBatch
mirror = open_mirror(
    Path(sys.argv[1]), cluster_id="c", topic_id="t", log_start=0, log_end=20_000,
    now_ms=NOON, max_sleep_ms=10**9, warn=print,
)
for n in range(20_100):
    mirror.apply([change(None, a_row(f"m-{n}"))], n + 1)
    if n + 1 == int(os.environ["DIES_AT"]):
        os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(("dies_at", "kept_from"), [(19_000, 0), (20_050, 20_050)])
def test_a_crash_loses_what_was_not_on_disk_of_a_load_whole_and_nothing_after_it(opened, dies_at, kept_from):
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", LOADER, opened.path, here, here.parent.parent],
        env=os.environ | {"DIES_AT": str(dies_at)},
        check=False,
    )
    assert done.returncode == -9
    mirror = opened(log_end=20_100)
    assert opened.warnings == []
    assert kept_from <= mirror.applied <= dies_at
    assert mirror.rows() == mirror.applied == sum(map(sum, mirror.counts.values()))
    assert len(mirror.due_from(None, NOON, 30_000)) == mirror.applied
    assert mirror.get(f"m-{mirror.applied}") is None
    assert mirror.applied == 0 or mirror.get(f"m-{mirror.applied - 1}") is not None


def test_a_tombstone_beside_a_row_does_not_hide_how_old_the_last_record_is(opened):
    mirror = opened()
    row = a_row("gone")
    mirror.apply([change(None, row)], 1)
    mirror.apply([change(None, a_row("kept", updated_at=at(NOON))), change(row, None)], 3)
    assert mirror.seen_ms == NOON


@pytest.mark.parametrize("state", list(PLACE))
@pytest.mark.parametrize("late_ms", [None, 0, 70_000])
@pytest.mark.parametrize("moved_ms", [0, 3 * 60_000])
@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("forget_at", [None, at(NOON + DAY_MS)])
def test_the_short_way_of_a_new_row_with_one_delivery_does_what_the_long_one_does(
    state, late_ms, moved_ms, target, forget_at
):
    row = a_row(forget_at=forget_at)
    (d,) = row.deliveries
    d = replace(d, state=state, late_ms=late_ms, target=target, due_at=at(NOON + moved_ms))
    row = replace(row, deliveries=(d,))
    short, long = MirrorBatch(), MirrorBatch()
    short.put(row.id, None, row, encode(row))
    long._move(row.id.encode(), None, row)
    assert (short.moved, short.due, short.forget, short.rows) == (long.moved, long.due, long.forget, long.rows)
