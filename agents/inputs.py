"""What an owner is fed: commands and acks, each record once and in order, decoded into its inbox as there is room."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import assert_never

from agents.inbox import Inbox, Item, Stray
from agents.ports import Clock, Home, Seat, Stored
from agents.source import Source
from agents.spout import Spout
from schemas.commands import Create
from schemas.decisions import Acked, Asked
from schemas.events import Unreadable
from schemas.ids import routing_key
from schemas.schedule_commands import ScheduleCommand
from schemas.schedule_decisions import AskedSchedule
from schemas.times import at
from schemas.wire import Fault, NewerRecordError, UnreadableError, read_acks, read_commands

COMMANDS_HELD_MAX = 4_000
UNREAD_BYTES_MAX = 16 * 1024 * 1024
"""Of commands not decoded yet: what is more is read from the log once more, when there is room."""
ACKS_HELD_MAX = 50_000
ROUTED_HEADER = "clepsydra-routed"


class Inputs:
    """`bell` rings when there is something to decide."""

    def __init__(
        self, *, partition: int, seat: Seat, home: Home, clock: Clock, spout: Spout, inbox: Inbox, bell: asyncio.Event
    ) -> None:
        """Closed: what the stream brings is left in the log until `is_open`."""
        self.commands, self.acks = Source(seat.commands), Source(seat.acks)
        self.is_open = False
        self.room = asyncio.Event()
        """Something was decided."""
        self._partition, self._partitions, self._home = partition, seat.partitions, home
        self._clock, self._spout, self._inbox, self._bell = clock, spout, inbox, bell
        self._unread: deque[Stored] = deque()
        self._unread_bytes = 0

    def feed_commands(self, record: Stored, done: Callable[[], None]) -> None:
        """A record of `commands`, in the stream's order; `done` once its rows, events and answers are durable."""
        if self.commands.offer(record.offset, done, room=self.is_open and self._unread_bytes < UNREAD_BYTES_MAX):
            self._queue_commands(record)

    def feed_acks(self, record: Stored, done: Callable[[], None]) -> None:
        """A record of `acks`; `done` once what follows from it is durable."""
        if self.acks.offer(record.offset, done, room=self.is_open and len(self._inbox.acks) < ACKS_HELD_MAX):
            self.take_acks(record)

    def inherit(self, former: "Inputs") -> None:
        """What a former owner in this process was fed and did not finish is told done by this one, before it runs."""
        self.commands.inherit(former.commands)
        self.acks.inherit(former.acks)

    def _queue_commands(self, record: Stored) -> None:
        """A record of commands waits as bytes, a quarter of what they take decoded."""
        self._unread.append(record)
        self._unread_bytes += len(record.value or b"")
        self.open_commands()
        self._bell.set()

    def open_commands(self) -> None:
        """Decode what waits, as there is room."""
        while self._unread and len(self._inbox.commands) < COMMANDS_HELD_MAX:
            record = self._unread.popleft()
            self._unread_bytes -= len(record.value or b"")
            self._take_commands(record)

    def _take_commands(self, record: Stored) -> None:
        """Queue a record's commands; what is none, or belongs elsewhere, too."""
        found = read_commands(record.value)
        self.commands.order.begin(record.offset, len(found), self.commands.tell)
        routed = (ROUTED_HEADER, b"%d" % self._partitions) in record.headers
        for n, command in enumerate(found):
            given: Asked | AskedSchedule | Stray | Unreadable
            if routed and isinstance(command, Create):
                given = Asked(command, record.offset, record.at_ms)
                self._inbox.commands.append(Item(command.message.id, given, self.commands, record.offset))
                continue
            if isinstance(command, Fault):
                given = self._unreadable("commands", record, command, n)
            elif not routed and (home := self._home(routing_key(command.id))) != self._partition:
                given = Stray(command, home)
            elif isinstance(command, ScheduleCommand):
                given = AskedSchedule(command, record.offset, record.at_ms)
            else:
                given = Asked(command, record.offset, record.at_ms)
            self._inbox.put(Item(_name(given), given, self.commands, record.offset))

    def take_acks(self, record: Stored) -> None:
        """Queue a record's acks; their places in flight are free from now on."""
        try:
            found = read_acks(record.value or b"")
        except NewerRecordError as error:
            self._spout.fail(error)  # an agent's body that raised would ack its event and go on (rule 8)
        except UnreadableError as error:
            fault = self._unreadable("acks", record, Fault("", str(error), "only couriers write here"), None)
            self.acks.order.begin(record.offset, 1, self.acks.tell)
            self._inbox.put(Item("", fault, self.acks, record.offset))
        else:
            self.acks.order.begin(record.offset, len(found), self.acks.tell)
            for ack in found:
                self._spout.came_back(ack)
            self._inbox.put_acks(
                [Item(ack.id, Acked(ack), self.acks, record.offset) for ack in found], self._clock.now_ms()
            )
        self._bell.set()

    def _unreadable(self, topic: str, record: Stored, fault: Fault, element: int | None) -> Unreadable:
        return Unreadable(
            topic=topic, partition=self._partition, offset=record.offset, element=element, at=at(record.at_ms),
            fault=fault.problem, field=fault.field, remedy=fault.remedy,
            value=None if record.value is None else record.value[:4096].decode(errors="replace"),
        )  # fmt: skip

    async def rest_of_commands(self) -> None:
        """Read from the log what the stream did not bring, as there is room, until cancelled."""
        await self._rest(self.commands, self._queue_commands)

    async def rest_of_acks(self) -> None:
        """The same of acks."""
        await self._rest(self.acks, self.take_acks)

    async def _rest(self, source: Source, take: Callable[[Stored], None]) -> None:
        while True:
            await source.fell_behind.wait()
            async for record in source.rest():
                take(record)
                while self._unread_bytes > UNREAD_BYTES_MAX or len(self._inbox.acks) > ACKS_HELD_MAX:
                    self.room.clear()
                    await self.room.wait()


def _name(given: Asked | AskedSchedule | Stray | Unreadable) -> str:
    """What inputs are kept in order by: a message's id, or a schedule's with the mark that no message's has."""
    match given:
        case Unreadable():
            return ""
        case AskedSchedule(command):
            return f"{command.id}@"
        case Asked(command) | Stray(command):
            return command.id
        case _:
            assert_never(given)
