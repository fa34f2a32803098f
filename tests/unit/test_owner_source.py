"""A source is read in order, each record once, whatever the stream before it does."""

import asyncio

from fakes import FakeLog, settle
from hypothesis import given
from hypothesis import strategies as st

from agents.ports import Record
from agents.source import Source


class Reader:
    """What an owner does with a source: takes in what it offers, reads the rest when it fell behind."""

    def __init__(self, records: int) -> None:
        self.log = FakeLog()
        self.land(records)
        self.source = Source(self.log)
        self.taken: list[int] = []
        self.done: list[int] = []

    def land(self, records: int) -> None:
        self.log.land(*[Record(None, b"") for _ in range(records)])

    def feed(self, offset: int, *, room: bool = True) -> None:
        if self.source.offer(offset, lambda: self.done.append(offset), room=room):
            self.take(offset)

    def take(self, offset: int) -> None:
        self.taken.append(offset)
        self.source.order.begin(offset, 1, self.source.tell)

    async def read(self) -> None:
        if self.source.fell_behind.is_set():
            async for record in self.source.rest():
                self.take(record.offset)

    def finish(self, *offsets: int) -> None:
        for offset in offsets:
            self.source.order.finish(offset)


async def test_the_stream_is_the_fast_way_in():
    reader = Reader(3)
    reader.source.start(0)
    for offset in range(3):
        reader.feed(offset)
    assert reader.taken == [0, 1, 2]
    assert not reader.source.fell_behind.is_set()


async def test_what_the_stream_skips_is_read_from_the_log():
    reader = Reader(5)
    reader.source.start(0)
    reader.feed(0)
    reader.feed(3)
    assert (reader.taken, reader.source.fell_behind.is_set()) == ([0], True)
    await reader.read()
    reader.feed(4)
    assert reader.taken == [0, 1, 2, 3, 4]


async def test_what_the_stream_repeats_is_taken_once_and_told_again_when_finished():
    reader = Reader(2)
    reader.source.start(0)
    for offset in (0, 1, 0, 1):
        reader.feed(offset)
    assert reader.taken == [0, 1]
    reader.finish(0, 1)
    assert reader.done == [0, 1, 0, 1]


async def test_done_is_told_in_order_only_when_all_before_is_finished():
    reader = Reader(3)
    reader.source.start(0)
    for offset in range(3):
        reader.feed(offset)
    reader.finish(2, 1)
    assert reader.done == []
    reader.finish(0)
    assert reader.done == [0, 1, 2]


async def test_without_room_nothing_is_taken_from_the_stream_and_nothing_is_lost():
    reader = Reader(3)
    reader.source.start(0)
    reader.feed(0, room=False)
    reader.feed(1)
    assert reader.taken == []
    await reader.read()
    assert reader.taken == [0, 1]
    reader.feed(2)
    assert reader.taken == [0, 1, 2]


async def test_what_came_before_the_start_is_taken_once_it_is_known_where_to_begin():
    reader = Reader(4)
    for offset in range(4):
        reader.feed(offset)
    assert reader.taken == []
    reader.source.start(2)
    assert reader.done == [0, 1], "a former owner finished them"
    await reader.source.look()
    await reader.read()
    assert reader.taken == [2, 3]


async def test_a_stream_that_jumps_behind_the_start_is_told_done_at_once():
    reader = Reader(4)
    reader.source.start(3)
    reader.feed(1)
    assert (reader.taken, reader.done) == ([], [1])


async def test_a_record_that_the_stream_never_brings_is_found_by_looking():
    reader = Reader(2)
    reader.source.start(0)
    await reader.source.look()
    await reader.read()
    assert reader.taken == [0, 1]
    await reader.source.look()
    assert not reader.source.fell_behind.is_set()


async def test_what_lands_while_the_rest_is_read_is_read_too():
    reader = Reader(2)
    reader.source.start(0)
    await reader.source.look()
    async for record in reader.source.rest():
        reader.take(record.offset)
        if record.offset == 1:
            reader.land(2)
            reader.feed(3)
    assert reader.taken == [0, 1, 2, 3]
    await settle(1)


feeds = st.lists(st.tuples(st.integers(0, 19), st.booleans(), st.booleans()), max_size=60)


@given(feeds, st.integers(0, 10), st.randoms(use_true_random=False))
def test_whatever_the_stream_does_all_is_taken_once_and_in_order(feeds, start, random):
    async def run() -> None:
        reader = Reader(20)
        for n, (offset, room, reads) in enumerate(feeds):
            if n == 3:
                reader.source.start(start)
            reader.feed(offset, room=room)
            if reads:
                await reader.read()
        if len(feeds) <= 3:
            reader.source.start(start)
        await reader.source.look()
        await reader.read()
        assert reader.taken == list(range(start, 20))
        finished = reader.taken[:]
        random.shuffle(finished)
        reader.finish(*finished)
        reader.source.tell()
        assert sorted(reader.done) == sorted(offset for offset, _, _ in feeds)

    asyncio.run(run())
