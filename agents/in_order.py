"""Source offsets whose parts finish in any order, told done strictly in order (rule 5, `ack_then_commit`)."""

from collections.abc import Callable


def _untold() -> None:
    """Nobody is waiting: `low` says it all."""


class InOrder:
    """The unfinished offsets of one source partition. Offsets begin in rising order; gaps are normal."""

    def __init__(self, start: int = 0) -> None:
        self._open: dict[int, tuple[int, Callable[[], object]]] = {}
        self._next = start

    @property
    def low(self) -> int:
        """The lowest unfinished offset; the one after the highest begun when all is finished."""
        return next(iter(self._open), self._next)

    def __len__(self) -> int:
        """How many offsets are unfinished."""
        return len(self._open)

    def begin(self, offset: int, count: int, done: Callable[[], object] = _untold) -> None:
        """Take in an offset of `count` parts. Raises ValueError for one not above the last: a hole could be passed."""
        if offset < self._next:
            raise ValueError(
                f"offset {offset} came after {self._next - 1}: records must be fed in offset order, each once"
            )
        self._open[offset] = (count, done)
        self._next = offset + 1
        if count == 0:
            self._tell()

    def finish(self, offset: int, count: int = 1) -> None:
        """Some parts of an offset are finished; calls `done` of all offsets with nothing unfinished up to them."""
        left, done = self._open[offset]
        self._open[offset] = (left - count, done)
        if left == count:
            self._tell()

    def _tell(self) -> None:
        while self._open:
            offset, (left, done) = next(iter(self._open.items()))
            if not self.may_tell(left):
                return
            del self._open[offset]
            done()

    def may_tell(self, left: int) -> bool:
        """Whether the lowest offset, with so many parts left, is done."""
        return left == 0
