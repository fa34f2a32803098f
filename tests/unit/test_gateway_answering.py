"""Many commands in one request: bounded under way, bounded in memory, told in order."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from gateway.answering import PORTIONS_HELD_MAX, UNANSWERED_MAX, Answering, Portion, Room
from schemas.commands import Answer, Look

SIZE = 100


class Owners:
    """Answer when they are let to."""

    def __init__(self) -> None:
        self.answering = asyncio.Event()
        self.asked = 0

    async def ask_many(self, commands):
        self.asked += len(commands)
        await self.answering.wait()
        return [Answer(command_id=c.command_id, id=c.id, result="not_found") for c in commands]


class Source:
    """Portions, and how many of them were taken."""

    def __init__(self, count: int) -> None:
        self.count, self.taken = count, 0

    async def portions(self) -> AsyncGenerator[Portion]:
        for n in range(self.count):
            self.taken += 1
            commands = [Look(command_id=f"{n}.{k}", id=f"{n}") for k in range(SIZE)]
            yield Portion(commands, lambda found: found[0].id.encode())


async def settled() -> None:
    for _ in range(5_000):
        await asyncio.sleep(0)


async def test_no_more_commands_are_under_way_than_there_is_room_for_and_all_are_told_in_order():
    owners, source, told = Owners(), Source(1_000), []

    async def tell(lines: bytes) -> None:
        told.append(int(lines))

    running = asyncio.create_task(Answering(owners).run(source.portions(), tell))
    await settled()
    assert owners.asked == UNANSWERED_MAX
    owners.answering.set()
    await running
    assert told == list(range(1_000))


async def test_a_client_that_does_not_read_holds_its_own_request_only():
    owners, slow, reading = Owners(), Source(10_000), asyncio.Event()
    owners.answering.set()
    answering = Answering(owners)

    async def tell_slowly(lines: bytes) -> None:
        await reading.wait()

    running = asyncio.create_task(answering.run(slow.portions(), tell_slowly))
    await settled()
    assert PORTIONS_HELD_MAX <= slow.taken <= PORTIONS_HELD_MAX + 3
    other, told = Source(10), []

    async def tell(lines: bytes) -> None:
        told.append(int(lines))

    await answering.run(other.portions(), tell)
    assert told == list(range(10))
    reading.set()
    await running
    assert slow.taken == 10_000


async def test_a_request_that_is_given_up_gives_its_room_back():
    owners = Owners()
    answering = Answering(owners)

    async def tell(lines: bytes) -> None: ...

    running = asyncio.create_task(answering.run(Source(1_000).portions(), tell))
    await settled()
    running.cancel()
    await asyncio.wait([running])
    assert answering._room._free == UNANSWERED_MAX


async def test_the_first_error_ends_it_as_itself():
    async def broken() -> AsyncGenerator[Portion]:
        yield Portion((), lambda _: b"")
        raise ConnectionError("gone")

    async def tell(lines: bytes) -> None: ...

    with pytest.raises(ConnectionError, match="gone"):
        await Answering(Owners()).run(broken(), tell)


async def test_room_is_taken_when_there_is_enough_and_given_back():
    room = Room(10)
    await room.take(8)
    waiting = [asyncio.create_task(room.take(5)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    room.give(8)
    await asyncio.gather(*waiting)
    late = asyncio.create_task(room.take(1_000))
    await asyncio.sleep(0)
    assert not late.done()
    room.give(10)
    await late
