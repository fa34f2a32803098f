"""The due messages that one courier partition has taken in and not finished, and the acks that it owes for them."""

from collections.abc import Callable, Mapping
from functools import partial

from agents.in_hand import InHand
from agents.source import Source


class DueInHand:
    """`owed`: messages whose outcome is known and whose ack is not durable yet."""

    def __init__(self, source: Source, shared: InHand, changed: Callable[[int], None]) -> None:
        """`shared`: of all partitions of the channel in this process; `changed` hears of each change of the count."""
        self._source, self._shared, self._changed = source, shared, changed
        self._sizes: dict[int, int] = {}
        """Bytes of each message of a record that is not done."""
        self._count = self._bytes = self.owed = 0
        self._closed = False

    def begin(self, offset: int, count: int, size: int) -> None:
        """A record of so many messages and bytes."""
        self._sizes[offset] = each = size // max(1, count)
        self._hold(count, each)
        self._source.order.begin(offset, count, partial(self._done, offset))

    def owe(self, finished: Mapping[int, int]) -> Callable[[], None]:
        """One ack more is owed; what to call when it is durable: so many messages of these offsets are finished."""
        self.owed += 1
        return partial(self.paid, 1, finished)

    def paid(self, count: int, finished: Mapping[int, int]) -> None:
        """So many acks are durable."""
        self.owed -= count
        self.finish(finished)

    def finish(self, finished: Mapping[int, int]) -> None:
        """So many messages of each of these offsets are over."""
        if self._closed:
            return
        for offset, count in finished.items():
            self._hold(-count, self._sizes[offset])
            self._source.order.finish(offset, count)

    def close(self) -> None:
        """The partition has let go: nothing more is done, and others have the room."""
        self._closed = True
        self._shared.take(-self._count, -self._bytes)
        self._changed(-self._count)

    def _hold(self, change: int, size: int) -> None:
        self._count += change
        self._bytes += change * size
        self._shared.take(change, change * size)
        self._changed(change)

    def _done(self, offset: int) -> None:
        del self._sizes[offset]
        self._source.tell()
