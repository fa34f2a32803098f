"""What people see of breakers: told by each courier, put together by the gateway, forgotten with the courier."""

import pytest

from agents.ports import LogBrokenError
from schemas.breaker import FAILURES, Breaker, failed
from schemas.breaker_view import AGAIN_MS, SILENT_MS, TOLD_MAX, UNTRIED_MS, seen
from schemas.settings_records import Breakers, setting_key
from topology.breaker_board import BreakerBoard

NOW = 1_795_000_000_000


class Table:
    """Settings in a dict; `broken`: nothing can be written."""

    def __init__(self):
        self.records, self.writes, self.broken = {}, 0, False

    def all(self, kind):
        return {record.key: record for record in self.records.values() if isinstance(record, kind)}

    async def put(self, record):
        self._write()
        self.records[setting_key(type(record), record.key)] = record

    async def remove(self, kind, key):
        self._write()
        self.records.pop(setting_key(kind, key), None)

    def _write(self):
        if self.broken:
            raise LogBrokenError("away")
        self.writes += 1


class Clock:
    now = NOW

    def now_ms(self):
        return self.now


@pytest.fixture
def table():
    return Table()


@pytest.fixture
def clock():
    return Clock()


def opened(at_ms=NOW):
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker = failed(breaker, at_ms)
    return breaker


def views(table, clock):
    return seen(table.all(Breakers).values(), clock.now)


async def test_an_open_breaker_is_told_once_and_taken_back_when_it_closes(table, clock):
    board = BreakerBoard(table, clock)
    known = {"http://a": opened(), "http://b": failed(Breaker(), NOW)}
    for _ in range(5):
        await board.look({"webhook": known, "log": {}})
    assert table.writes == 1
    (view,) = views(table, clock)["webhook"]
    assert (view.endpoint, view.failures, view.couriers) == ("http://a", FAILURES, 1)
    await board.look({"webhook": {}})
    assert (views(table, clock), table.records) == ({}, {})
    await board.look({"webhook": {}})
    assert table.writes == 2


async def test_what_two_couriers_say_of_an_endpoint_is_one_line(table, clock):
    for since in (NOW, NOW - 3_000):
        await BreakerBoard(table, clock).look({"webhook": {"http://a": opened(since)}})
    (view,) = views(table, clock)["webhook"]
    assert (view.couriers, view.failures) == (2, 2 * FAILURES)
    assert view.since.timestamp() * 1000 == NOW - 3_000


async def test_it_is_told_again_while_it_is_open_and_of_a_dead_courier_forgotten(table, clock):
    await BreakerBoard(table, clock).look({"webhook": {"http://gone": opened()}})
    board = BreakerBoard(table, clock)
    until = NOW + SILENT_MS + 2 * AGAIN_MS
    while clock.now < until:
        await board.look({"webhook": {"http://a": opened(clock.now)}, "log": {}})
        clock.now += AGAIN_MS
    assert [view.endpoint for view in views(table, clock)["webhook"]] == ["http://a"]
    assert len(table.records) == 1


async def test_a_courier_that_stops_takes_back_what_it_has_told(table, clock):
    board, other = BreakerBoard(table, clock), BreakerBoard(table, clock)
    for each in (board, other):
        await each.look({"webhook": {"http://a": opened()}, "log": {}})
    await board.close()
    assert [view.couriers for view in views(table, clock)["webhook"]] == [1]
    await board.close()
    assert table.writes == 3


async def test_an_endpoint_that_nothing_is_sent_to_any_more_is_not_told(table, clock):
    board = BreakerBoard(table, clock)
    known = {"webhook": {"http://a": opened()}}
    await board.look(known)
    assert views(table, clock)
    clock.now = known["webhook"]["http://a"].until_ms + UNTRIED_MS
    await board.look(known)
    assert table.records == {}


async def test_what_could_not_be_written_is_told_later(table, clock):
    board = BreakerBoard(table, clock)
    table.broken = True
    with pytest.raises(LogBrokenError):
        await board.look({"webhook": {"http://a": opened()}})
    table.broken = False
    await board.look({"webhook": {"http://a": opened()}})
    assert views(table, clock)["webhook"]


async def test_a_crowd_of_them_is_cut_and_tokens_are_not_shown(table, clock):
    board = BreakerBoard(table, clock)
    await board.look({
        "webhook": {f"http://{n:03}": opened() for n in range(1_000)},
        "apprise": {"tgram://token": opened(), "ops@example.com": opened()},
    })  # fmt: skip
    found = views(table, clock)
    assert len(found["webhook"]) == TOLD_MAX
    assert [view.endpoint for view in found["apprise"]] == ["ops@example.com", "tgram://…"]
