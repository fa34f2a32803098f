"""The schedules on disk and those of the simulation give the same answers to the same questions."""

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulation.sim_stores import SimSchedules

from agents.ports import ScheduleChange
from schemas.recurrence import Recurrence
from schemas.schedule import Definition, Template
from schemas.schedule_rows import ScheduleRow
from schemas.times import at
from schemas.wire import encode
from topology.rocks_schedules import open_schedules

NOON = 1_790_000_040_000
ids = st.sampled_from(["a", "ab", "b", "a/1", "é"])
times = st.none() | st.integers(0, 5).map(lambda n: at(NOON + n * 1_000))


def row(schedule_id, tend_at=None, forget_at=None) -> ScheduleRow:
    definition = Definition(recurrence=Recurrence(cron="0 2 * * *"), message=Template(channel="log"))
    return ScheduleRow(
        epoch=1, id=schedule_id, birth=1, changed=1, original="", definition=definition, through=at(NOON),
        tend_at=tend_at, forget_at=forget_at, created_at=at(NOON), updated_at=at(NOON),
    )  # fmt: skip


@st.composite
def changes(draw):
    schedule_id = draw(ids)
    if draw(st.booleans()):
        return ScheduleChange(schedule_id, None, None)
    made = row(schedule_id, draw(times), draw(times))
    return ScheduleChange(schedule_id, made, encode(made))


def opened(path, warn=print, **over):
    given = {
        "cluster_id": "c",
        "topic_id": "t",
        "log_start": 0,
        "log_end": 1_000,
        "now_ms": NOON,
        "max_sleep_ms": 9_000,
    }
    return open_schedules(path, **(given | over), warn=warn)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(changes(), max_size=4, unique_by=lambda c: c.id), max_size=6))
def test_disk_and_simulation_agree(tmp_path_factory, batches):
    path = tmp_path_factory.mktemp("schedules") / "s"
    disk, model = opened(path), SimSchedules()
    for n, batch in enumerate(batches, 1):
        for store in (disk, model):
            store.apply(batch, n)
        disk.close()
        disk = opened(path)
        assert disk.applied == model.applied == n
        for now in range(NOON - 1_000, NOON + 7_000, 1_000):
            assert sorted(disk.to_tend(now, 10)) == sorted(model.to_tend(now, 10))
        assert disk.after("", 10) == sorted(model.after("", 10), key=lambda r: r.id.encode())
        assert [disk.get(i) for i in ("a", "ab", "é", "none")] == [model.get(i) for i in ("a", "ab", "é", "none")]
    disk.close()


def test_what_cannot_be_trusted_is_rebuilt(tmp_path):
    told = []
    table = opened(tmp_path / "s")
    table.voids.add("x")
    table.apply([ScheduleChange("a", row("a"), encode(row("a")))], 7)
    table.close()
    kept = opened(tmp_path / "s", warn=told.append)
    assert (kept.applied, kept.voids, told) == (7, {"x"}, [])
    kept.close()
    for over in ({"topic_id": "other"}, {"log_start": 9}, {"log_end": 5}, {"now_ms": NOON + 60_000}):
        table = opened(tmp_path / "s")
        table.apply([ScheduleChange("a", row("a"), encode(row("a")))], 7)
        table.close()
        rebuilt = opened(tmp_path / "s", told.append, **over)
        assert rebuilt.applied == 0, over
        rebuilt.close()
    assert len(told) == 4


def test_a_row_is_read_back_whole(tmp_path):
    table = opened(tmp_path / "s")
    made = msgspec.structs.replace(row("a"), open=("2026-11-24T02:00:00Z",))
    table.apply([ScheduleChange("a", made, encode(made))], 1)
    assert table.get("a") == made
    table.close()
