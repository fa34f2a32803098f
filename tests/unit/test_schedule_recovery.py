"""How schedules change hands: what a former owner writes after a newer claim does not count."""

import msgspec
from fakes import FakeClock, FakeLog
from sim_stores import SimSchedules

from agents.ports import Record
from agents.schedule_recovery import ScheduleLoader, schedule_record, take_schedules, valid_schedule
from schemas.rows import CLAIM_KEY
from schemas.schedule import NewDefinition
from schemas.schedule_rows import ScheduleClaim, ScheduleRow
from schemas.times import at
from schemas.wire import encode

DEFINITION = msgspec.json.decode(
    b'{"recurrence": {"cron": "0 2 * * *"}, "message": {"channel": "log", "body": "x"}}', type=NewDefinition
).accepted()


def row(revision: int, epoch: int) -> ScheduleRow:
    return ScheduleRow(
        epoch=epoch, id="s", birth=1, changed=1, revision=revision, original="", definition=DEFINITION,
        through=at(0), created_at=at(0), updated_at=at(0),
    )  # fmt: skip


def written(revision: int, epoch: int) -> Record:
    return Record(b"s", encode(row(revision, epoch)))


def claim(epoch: int) -> Record:
    return Record(CLAIM_KEY.encode(), encode(ScheduleClaim(epoch=epoch, owner="o", at=at(0))))


async def taken(*records: Record) -> tuple[FakeLog, SimSchedules]:
    log, table = FakeLog(), SimSchedules()
    log.land(*records)
    await take_schedules(log, table, 30, "new", FakeClock())
    return log, table


async def test_a_row_of_an_older_epoch_after_a_newer_claim_is_void_and_is_written_over():
    log, table = await taken(claim(10), written(1, 10), claim(20), written(2, 10))
    assert table.table["s"].revision == 1
    last = msgspec.json.decode(log.stored[-1].value, type=ScheduleRow)
    assert (last.revision, last.epoch, table.voids) == (1, 30, set())


async def test_so_is_a_tombstone():
    gone = schedule_record(valid_schedule(SimSchedules(), "s", 10), 10)
    _, table = await taken(claim(10), written(1, 10), claim(20), gone)
    assert table.table["s"].revision == 1


async def test_without_the_rule_the_row_of_a_former_owner_wins(monkeypatch):
    monkeypatch.setattr(ScheduleLoader, "is_void", lambda *_: False)
    _, table = await taken(claim(10), written(1, 10), claim(20), written(2, 10))
    assert table.table["s"].revision == 2
