"""What is due and held back because its flow, or its whole channel, is paused: on disk and counted, not in memory whole."""

from collections import Counter, deque
from heapq import heappop, heappush

from agents.flows import Flows
from agents.near_windows import Armed
from schemas.decisions import Lapsed
from schemas.rows import Row

Held = tuple[str, int]
"""A delivery: message id and target."""


class Paused:
    """Of one timetable partition. What is held can be edited and cancelled, and expires in time."""

    def __init__(self, flows: Flows) -> None:
        """`flows`: which are paused now."""
        self.flows = flows
        self.counts: Counter[str] = Counter()
        """How many are held, by the key that is paused."""
        self.resumed: deque[Held] = deque()
        """To be released."""
        self._held: dict[Held, str] = {}
        self._expiring: list[tuple[int, str, int]] = []

    def key_of(self, armed: Armed) -> str | None:
        """What holds a delivery back, or None."""
        return self.flows.pause_of(armed.flow, armed.channel)

    def hold(self, armed: Armed, key: str) -> None:
        """Keep it back."""
        held = (armed.id, armed.target)
        if held not in self._held:
            self._held[held] = key
            self.counts[key] += 1
            if armed.expires_ms is not None:
                heappush(self._expiring, (armed.expires_ms, *held))

    def forget(self, row: Row) -> None:
        """A row was written: what becomes of its deliveries is seen anew."""
        for d in row.deliveries:
            self._drop((row.id, d.target))

    def changed(self, key: str) -> bool:
        """A flow was set or removed; whether anything is to be released."""
        if not self.counts[key] or key in self.flows.paused:
            return False
        back = [held for held, by in self._held.items() if by == key]
        for held in back:
            self._drop(held)
        self.resumed.extend(back)
        return bool(back)

    def lapsed(self, now_ms: int) -> list[Lapsed]:
        """What is held and has expired."""
        over: list[Lapsed] = []
        while self._expiring and self._expiring[0][0] <= now_ms:
            _, message_id, target = heappop(self._expiring)
            if (message_id, target) in self._held:
                over.append(Lapsed(message_id, target))
        return over

    def _drop(self, held: Held) -> None:
        key = self._held.pop(held, None)
        if key is not None:
            self.counts[key] -= 1
