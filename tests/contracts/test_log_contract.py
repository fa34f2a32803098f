"""The log over Kafka, and those of the tests and of the simulation, are one thing to who uses them."""

import asyncio
import uuid
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from aiokafka.admin import NewTopic
from fakes import FakeLog
from simulation.sim_logs import PortLog, SimLog
from system import until

from agents.claimed_log import ClaimedLog, LostClaimError
from agents.ports import Record
from topology.producer import Kafka

HEADERS = (("epoch", b"7"),)


class Obedient:
    """A simulated process whose world carries out every request at once."""

    async def ask(self, kind, log, what):
        await asyncio.sleep(0)
        match kind:
            case "append":
                first, *_ = [log.add(record, 1) for record in what]
                return first
            case "end":
                return len(log.records)
            case "read":
                start, end = what
                return [r for r in log.records[start : min(end, start + 100)] if r is not None]


@asynccontextmanager
async def kafka_log(brokers):
    world = Kafka(brokers)
    await world.start()
    try:
        name = f"contract-{uuid.uuid4()}"
        await world.admin.create_topics([NewTopic(name, 1, 1)])

        async def visible():
            return name in (await world.identity()).topics

        await until(visible)
        yield world.log(name, 0)
    finally:
        await world.stop()


@pytest_asyncio.fixture(params=["kafka", "fake", "simulated"])
async def log(request, kafka):
    match request.param:
        case "fake":
            yield FakeLog()
        case "simulated":
            yield PortLog(Obedient(), SimLog("a log"))
        case _:
            async with kafka_log(kafka.bootstrap) as real:
                yield real


async def all_of(log, start, end):
    return [stored async for slice_ in log.read(start, end) for stored in slice_]


def plain(stored):
    return [(s.offset, s.key, s.value, tuple(s.headers)) for s in stored]


async def test_what_is_appended_is_read_at_the_offset_that_was_told(log):
    assert await log.end() == 0
    assert await log.append([Record(b"a", b"1"), Record(b"b", None, HEADERS)]) == 0
    assert await log.append([Record(None, b"3")]) == 2
    assert await log.end() == 3
    assert plain(await all_of(log, 0, 3)) == [(0, b"a", b"1", ()), (1, b"b", None, HEADERS), (2, None, b"3", ())]


async def test_a_read_is_a_half_open_range(log):
    await log.append([Record(b"k%d" % n, b"v%d" % n) for n in range(350)])
    assert [s.offset for s in await all_of(log, 120, 340)] == list(range(120, 340))
    assert await all_of(log, 350, 350) == []
    assert await all_of(log, 7, 7) == []


async def test_appends_side_by_side_are_each_together_and_in_order(log):
    firsts = await asyncio.gather(*(log.append([Record(b"%d" % n, b"x"), Record(b"%d" % n, b"y")]) for n in range(50)))
    assert sorted(firsts) == list(range(0, 100, 2))
    found = {s.offset: s for s in await all_of(log, 0, 100)}
    for n, first in enumerate(firsts):
        assert [(found[o].key, found[o].value) for o in (first, first + 1)] == [(b"%d" % n, b"x"), (b"%d" % n, b"y")]


async def test_a_single_writer_sees_another_one_and_a_newer_claim(log):
    writer = ClaimedLog(log, lambda stored: stored.key == b"!claim")
    epoch = await writer.claim(Record(b"!claim", b"1"))
    assert await writer.append([Record(b"a", b"1")]) == epoch + 1
    await log.append([Record(b"zombie", b"z")])
    await writer.append([Record(b"b", b"2")])
    assert writer.take_void() == ["zombie"]
    await log.append([Record(b"!claim", b"2")])
    with pytest.raises(LostClaimError):
        await writer.check()
