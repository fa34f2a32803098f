"""How many sends to one endpoint, or of one flow, are under way, and what waits for them to end."""

from collections import deque
from typing import Generic, TypeVar

J = TypeVar("J")
WAIT_MS_MAX = 5_000
"""Who would wait longer for the sends before it goes back to the timetable meanwhile, where it can be edited."""
SLOW_MS = 1_000
"""An endpoint whose sends take so long is slow by itself, not because this process is busy."""
WEIGHT = 0.2
"""Of the last send in the mean duration."""
FLOW = "\0"
"""Before the keys of flows: no endpoint begins so."""


class Lane(Generic[J]):
    """Sends to one place: `limit` at once. `parked` jobs wait in order."""

    __slots__ = ("begun", "came_back_ms", "key", "limit", "mean_ms", "parked", "probing")

    def __init__(self, key: str, limit: int) -> None:
        """Nothing is under way."""
        self.key, self.limit = key, limit
        self.begun: dict[int, int] = {}
        """Sends under way and when they began, the oldest first."""
        self.parked: deque[J] = deque()
        self.mean_ms = 0.0
        self.came_back_ms = 0.0
        self.probing = False

    @property
    def full(self) -> bool:
        """Whether the next one has to wait."""
        return self.probing or len(self.begun) >= self.limit

    @property
    def shown(self) -> str:
        """What people call it."""
        return self.key.removeprefix(FLOW)

    def enter(self, job: J, now_ms: int) -> None:
        """A send begins."""
        self.begun[id(job)] = now_ms

    def leave(self, job: J, now_ms: int) -> None:
        """A send is over."""
        took = now_ms - self.begun.pop(id(job))
        self.mean_ms = took if not self.mean_ms else self.mean_ms + WEIGHT * (took - self.mean_ms)

    def each_ms(self, now_ms: int) -> float:
        """How long one that waits takes, as far as can be told: as the last ones did, or as those under way do."""
        oldest = next(iter(self.begun.values()), now_ms)
        return max(self.mean_ms, now_ms - oldest) / self.limit

    def surplus(self, now_ms: int) -> list[tuple[J, int]]:
        """Takes out those that would wait too long, each with the time when it is likely to find a place.

        A herd at an endpoint that answers is not sent back: it would come again, and cost the busy process twice.
        """
        each = self.each_ms(now_ms)
        if each * self.limit < SLOW_MS and not self.key.startswith(FLOW):
            return []
        keep = len(self.parked) if not each else max(1, int(WAIT_MS_MAX / each))
        over = [self.parked.pop() for _ in range(len(self.parked) - keep)]
        found: list[tuple[J, int]] = []
        for job in reversed(over):
            self.came_back_ms = max(self.came_back_ms, now_ms + keep * each) + each
            found.append((job, int(self.came_back_ms)))
        return found
