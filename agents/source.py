"""A source of an owner (commands, acks) or courier (due): read in order, each record once, whatever the stream before it does.

The agents' stream is the fast way in. The log is the truth: what the stream has skipped, repeated, or brought while
its reader was not ready or had its hands full is read from the log again. So for an owner a group's committed offset,
wherever it stands, decides nothing (rule 1, `watermark`); a courier starts there, once.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from agents.in_order import InOrder
from agents.ports import Log, Stored


class Source:
    """`next`: the offset to take in; `order.low`: all before it is finished."""

    def __init__(self, log: Log) -> None:
        """Nothing is taken in before `start`."""
        self.log = log
        self.next = self.target = -1
        self.order = InOrder(0)
        self.fell_behind = asyncio.Event()
        self.followers: deque[tuple[int, Callable[[], None]]] = deque()

    def start(self, offset: int) -> None:
        """Everything from here on is to be taken in; what is before was finished by a former owner."""
        self.next = self.target = offset
        self.order = InOrder(offset)
        self.tell()

    def inherit(self, former: "Source") -> None:
        """Before `start`: who waits at a former owner's for a record to be finished, waits here."""
        self.followers.extendleft(reversed(former.followers))
        former.followers.clear()

    def offer(self, offset: int, done: Callable[[], None], *, room: bool) -> bool:
        """The stream brings a record; True when it is to be taken in now. `done` is called once it is finished."""
        self.followers.append((offset, done))
        if self.next == self.target == offset and room:
            self.next = self.target = offset + 1
            return True
        if offset >= self.next >= 0:
            self._behind(offset + 1)
        self.tell()
        return False

    async def look(self) -> None:
        """From now on the log is read up to its present end."""
        self._behind(await self.log.end())

    def _behind(self, target: int) -> None:
        self.target = max(self.target, target)
        if self.next < self.target:
            self.fell_behind.set()

    async def rest(self) -> AsyncIterator[Stored]:
        """What the log holds up to the target, which may move meanwhile; then the stream may go on."""
        while self.next < self.target:
            end = self.target
            async for records in self.log.read(self.next, end):
                for record in records:
                    self.next = record.offset + 1
                    yield record
            self.next = max(self.next, end)
        self.fell_behind.clear()

    def tell(self) -> None:
        """Call back for what is finished."""
        while self.followers and self.followers[0][0] < self.order.low:
            self.followers.popleft()[1]()
