"""What a spout has emitted and is not settled: the marks by which a command is decided (rule 2)."""

from collections import Counter
from collections.abc import Iterator
from itertools import takewhile

from msgspec import Struct

from agents.near_windows import Armed
from schemas.decisions import Mark
from schemas.lifecycle import LIVE
from schemas.outcomes import Ack
from schemas.rows import Delivery, Row
from schemas.times import ms_of

Key = tuple[str, int]
"""A delivery: message id and target."""


class Emission(Struct, gc=False):
    """One turn of a delivery. `counted`: it still fills a place in flight."""

    turn: int
    birth: int
    at_ms: int
    window_ms: int
    channel: str
    flow: str | None
    landed: bool = False
    counted: bool = True


class Emissions:
    """Of one timetable partition, in the order in which they were begun."""

    def __init__(self) -> None:
        self._all: dict[Key, Emission] = {}
        self.epoch = self.horizon_ms = -1

    def begin(self, epoch: int, horizon_ms: int) -> None:
        """Emit in this epoch; what was due by the horizon, a former owner may have emitted (rule 2, `maybe_emitted`)."""
        self.epoch, self.horizon_ms = epoch, horizon_ms

    def __contains__(self, key: Key) -> bool:
        """Whether a turn of this delivery is emitted and not settled."""
        return key in self._all

    def __bool__(self) -> bool:
        """Whether anything is."""
        return bool(self._all)

    def mark(self, row: Row, d: Delivery) -> Mark:
        """What is known of the emission of a delivery's present turn."""
        emission = self._all.get((row.id, d.target))
        if emission is not None and emission.turn == d.turn and emission.birth == row.birth:
            return Mark.EMITTED if emission.landed else Mark.PRODUCING
        return Mark.PERHAPS if self.perhaps(d) else Mark.FREE

    def perhaps(self, d: Delivery) -> bool:
        """Whether its turn was begun under a former owner and was due when this one's fences landed (`horizon`)."""
        return d.turn_epoch < self.epoch and d.state in LIVE and ms_of(d.due_at) <= self.horizon_ms

    def has(self, key: Key, armed: Armed) -> bool:
        """Whether it was emitted in this very turn."""
        emission = self._all.get(key)
        return emission is not None and emission.turn == armed.turn and emission.birth == armed.birth

    def add(self, key: Key, channel: str, armed: Armed, now: int) -> None:
        """Before the produce, never after it: a command decided meanwhile must know (rule 2, `mark_first`)."""
        self._all[key] = Emission(armed.turn, armed.birth, now, armed.window_ms, channel, armed.flow)

    def landed(self, armed: Armed) -> bool:
        """It is in Kafka; False where its turn is over already."""
        emission = self._all.get((armed.id, armed.target))
        if emission is None or emission.turn != armed.turn:
            return False
        emission.landed = True
        return True

    def came_back(self, ack: Ack) -> Emission | None:
        """What has filled a place in flight until this ack, and does no more."""
        emission = self._all.get((ack.id, ack.target))
        if emission is None or not emission.counted or emission.turn != ack.turn or emission.birth != ack.birth:
            return None
        emission.counted = False
        return emission

    def settled(self, row: Row) -> Iterator[Emission]:
        """A row was written: those of turns that are over, of which nothing is known any more."""
        for d in row.deliveries:
            emission = self._all.get((row.id, d.target))
            if emission is not None and (d.turn != emission.turn or d.state not in LIVE):
                del self._all[row.id, d.target]
                yield emission

    def unanswered(self, since_ms: int) -> list[tuple[Key, Emission]]:
        """Those in Kafka since then, and not acked."""
        early = takewhile(lambda known: known[1].at_ms <= since_ms, self._all.items())
        return [(key, emission) for key, emission in early if emission.landed and emission.counted]

    def again(self, key: Key, emission: Emission, now: int) -> None:
        """Emitted once more, in the same turn. The mark stays: nobody may edit or cancel it meanwhile."""
        del self._all[key]
        emission.at_ms = now
        self._all[key] = emission

    def by_window(self) -> dict[int, int]:
        """Emitted and not acked, by the first Unix ms of the due minute."""
        return Counter(e.window_ms for e in self._all.values() if e.counted)
