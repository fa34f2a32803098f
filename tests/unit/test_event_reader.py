"""The archivist's reader where a real Kafka cannot be told to be: overtaken in the middle of a batch."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from agents.archive_events import OvertakenError
from schemas.events import Event
from schemas.lifecycle import MessageState
from schemas.times import at
from schemas.wire import encode
from topology import event_reader
from topology.event_reader import EventReader
from topology.settings import load_settings

PLACE = TopicPartition("clepsydra.events", 0)


class Consumer:
    """A log of one partition; gives two records at a time."""

    def __init__(self, **_):
        self.values = []
        self.at = 0
        self.paused = set()
        self.seeks = []

    def assignment(self):
        return {PLACE}

    def pause(self, *places):
        self.paused |= set(places)

    def resume(self, *places):
        self.paused -= set(places)

    def seek(self, _place, offset):
        self.at = offset
        self.seeks.append(offset)

    async def getmany(self, **_):
        await asyncio.sleep(0)
        if self.paused or self.at >= len(self.values):
            return {}
        found = [
            SimpleNamespace(value=value, offset=n, timestamp=1_000, partition=0)
            for n, value in enumerate(self.values)
            if self.at <= n < self.at + 2
        ]
        self.at = found[-1].offset + 1
        return {PLACE: found}

    async def beginning_offsets(self, places):
        return dict.fromkeys(places, 0)

    async def commit(self, offsets):
        self.committed = {place: offset.offset for place, offset in offsets.items()}


class Archived:
    """How far the archive is."""

    def __init__(self):
        self.next = 0

    async def starts(self, partitions):
        return dict.fromkeys(partitions, self.next)


def event(n):
    return encode(
        Event(event_id=f"e{n}", kind="finished", id="m", at=at(0), birth=0, revision=1, state=MessageState.DEAD)
    )


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(event_reader, "AIOKafkaConsumer", Consumer)
    monkeypatch.setattr(event_reader, "PACE_S", 0.0)
    world = SimpleNamespace(archived=Archived(), batches=[], refused=[], on_refused=lambda: None)

    async def feed(batch):
        world.batches.append(batch)
        (reach,) = batch.reaches.values()
        if reach.start == world.archived.next:
            world.archived.next = reach.end
            batch.settle(None)
        else:
            batch.settle(OvertakenError("not there"))

    async def refuse(record, _fault):
        world.refused.append(record.offset)
        world.on_refused()

    world.reader = EventReader(load_settings(), world.archived, feed, refuse)
    world.consumer = world.reader._consumer
    return world


async def read_until(world, done):
    await world.reader.on_partitions_assigned([PLACE])
    reading = asyncio.create_task(world.reader.run())
    try:
        async with asyncio.timeout(5):
            while not done():
                assert not reading.done()
                await asyncio.sleep(0)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def stored(world):
    return [placed.event.event_id for batch in world.batches for placed in batch.placed]


async def test_it_reads_from_where_the_archive_ends(made):
    made.consumer.values = [event(n) for n in range(5)]
    made.archived.next = 3
    await read_until(made, lambda: made.archived.next == 5)
    assert stored(made) == ["e3", "e4"]
    await made.reader._commit()
    assert made.consumer.committed == {PLACE: 5}


async def test_overtaken_it_begins_again_where_the_archive_is(made):
    made.consumer.values = [event(n) for n in range(6)]
    await read_until(made, lambda: made.archived.next >= 2)
    made.archived.next = 1  # rebuilt, say
    await read_until(made, lambda: made.archived.next == 6)
    assert stored(made)[-1] == "e5"
    assert set(stored(made)) == {f"e{n}" for n in range(6)}


async def test_overtaken_in_the_middle_of_a_batch_it_reads_that_batch_again(made):
    made.consumer.values = [event(0), b"no event", event(2), event(3)]

    def once():
        made.on_refused = lambda: None
        made.reader._begin_again(OvertakenError("rebuilt meanwhile"))

    made.on_refused = once
    await read_until(made, lambda: made.archived.next == 4)
    assert made.refused == [1, 1]
    assert stored(made) == ["e0", "e2", "e3"]
    assert made.consumer.seeks == [0, 0]
