"""What is due soon, in memory: armed deliveries, in groups by due time."""

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush

from msgspec import Struct

from agents.ports import Change, Due
from schemas.due import DueBody
from schemas.ids import delivery_key
from schemas.lifecycle import LIVE
from schemas.rows import Delivery, Row, expires_of
from schemas.times import ms_of
from schemas.windows import minute_of
from schemas.wire import encode

START = Due(-1, "", 0)


class Armed(Struct, gc=False):
    """A delivery that is due soon. `body`: its due record, less what a whole pack shares; None: too much in memory."""

    due_ms: int
    window_ms: int
    id: str
    target: int
    turn: int
    birth: int
    channel: str
    flow: str | None
    priority: int
    expires_ms: int | None
    place: int
    body: bytes | None
    watched: int = 0
    """Whether it may have to give way to another run: 0 no, 1 when it is late, 2 always."""


class Group(Struct, gc=False):
    """Deliveries of one channel, flow and priority that are due at one instant: a herd of one account is a single group.

    Who is due is found by a look at each group, not at each message. `waiting`: the next one is the last. What was edited
    or cancelled is taken out when it is due at the latest.
    """

    due_ms: int
    priority: int
    channel: str
    flow: str | None
    waiting: list[Armed]
    gone: int = 0
    """How many of them are no longer armed; once they are half of it, they are taken out before."""


Instant = tuple[int, int]
"""A due time and -priority: of what is due at one time the most urgent is looked at first."""

Place = Callable[[str, str], int]
"""The partition of `due.<channel>` for a channel and a flow or message id."""


class NearWindows:
    """All live deliveries due at or before `horizon` are here; `due` gives those whose time has come, a group at a time."""

    def __init__(self, place: Place, bytes_max: int = 64 * 1024 * 1024, count_max: int = 200_000) -> None:
        """`bytes_max` of prepared bodies; no window is armed further once `count_max` deliveries are."""
        self.place = place
        self.bytes_max = bytes_max
        self.count_max = count_max
        self.bytes = 0
        self.horizon = START
        self.armed: dict[tuple[str, int], Armed] = {}
        self._instants: dict[Instant, dict[tuple[str, str | None], Group]] = {}
        self._soon: list[Instant] = []
        """A heap."""

    def full(self) -> bool:
        """Whether arming goes on only when some are gone."""
        return len(self.armed) >= self.count_max

    def update(self, change: Change) -> None:
        """Take in a row that has changed."""
        if change.old is not None:
            for d in change.old.deliveries:
                self.disarm(change.id, d.target)
        if change.row is not None:
            self.arm(change.row)

    def arm(self, row: Row) -> None:
        """Arm the row's live deliveries up to the horizon."""
        for d in row.deliveries:
            if d.state not in LIVE:
                continue
            due_ms = ms_of(d.due_at)
            if due_ms <= self.horizon.due_ms and Due(due_ms, row.id, d.target) <= self.horizon:
                self._put(row, d, due_ms)

    def arm_one(self, row: Row, target: int) -> None:
        """Arm one delivery of a row that was found in the mirror."""
        d = row.deliveries[target]
        self._put(row, d, ms_of(d.due_at))

    def disarm(self, message_id: str, target: int) -> None:
        """Forget a delivery, if it is here."""
        gone = self.armed.pop((message_id, target), None)
        if gone is None:
            return
        if gone.body is not None:
            self.bytes -= len(gone.body)
        groups = self._instants.get((gone.due_ms, -gone.priority))
        group = None if groups is None else groups.get((gone.channel, gone.flow))
        if group is not None:
            group.gone += 1
            if group.gone * 2 > len(group.waiting):
                group.waiting, group.gone = [a for a in group.waiting if self.is_armed(a)], 0

    def drop_body(self, armed: Armed) -> None:
        """It was emitted; should it be emitted again, its body is made anew."""
        if armed.body is not None:
            if self.armed.get((armed.id, armed.target)) is armed:
                self.bytes -= len(armed.body)
            armed.body = None

    def is_armed(self, armed: Armed) -> bool:
        """Whether it is still meant: not edited, cancelled or finished since."""
        return self.armed.get((armed.id, armed.target)) is armed

    def _put(self, row: Row, d: Delivery, due_ms: int) -> None:
        self.disarm(row.id, d.target)
        body = due_body(row, d) if self.bytes < self.bytes_max else None
        self.bytes += len(body or b"")
        expires, of = expires_of(row.message, d), row.message.occurrence
        self.armed[row.id, d.target] = armed = Armed(
            due_ms, minute_of(row), row.id, d.target, d.turn, row.birth, d.channel, d.flow, row.message.priority,
            None if expires is None else ms_of(expires), self.place(d.channel, d.flow or row.id), body,
            0 if of is None or d.attempts else 2 if of.alone else 1 if of.latest else 0,
        )  # fmt: skip
        self._wait(armed)

    def _wait(self, armed: Armed) -> None:
        instant, key = (armed.due_ms, -armed.priority), (armed.channel, armed.flow)
        groups = self._instants.get(instant)
        if groups is None:
            groups = self._instants[instant] = {}
            heappush(self._soon, instant)
        group = groups.get(key)
        if group is None:
            group = groups[key] = Group(armed.due_ms, armed.priority, armed.channel, armed.flow, [])
        group.waiting.append(armed)

    def due(self, now_ms: int, limit: int) -> Iterator[Group]:
        """Up to `limit` groups whose time has come, each once; those of one instant and priority in no order."""
        soon = self._soon
        while limit and soon and soon[0][0] <= now_ms:
            groups = self._instants[soon[0]]
            while limit and groups:
                _, group = groups.popitem()
                if group.gone:
                    group.waiting = [armed for armed in group.waiting if self.is_armed(armed)]
                if len(group.waiting) > 1:
                    group.waiting.sort(key=_place_in_line, reverse=True)
                if group.waiting:
                    limit -= 1
                    yield group
            if not groups:
                del self._instants[heappop(soon)]

    def next_due_ms(self) -> int | None:
        """When to look again."""
        return self._soon[0][0] if self._soon else None


def _place_in_line(armed: Armed) -> tuple[str, int]:
    return armed.id, armed.target


def alone(armed: Armed) -> Group:
    """It, as a group."""
    return Group(armed.due_ms, armed.priority, armed.channel, armed.flow, [armed])


def due_body(row: Row, d: Delivery) -> bytes:
    """A due record's JSON, less the fields that a whole pack shares."""
    m = row.message
    return encode(
        DueBody(
            id=row.id, key=delivery_key(row.id, d.target), target=d.target, birth=row.birth, turn=d.turn,
            revision=row.revision, attempt=d.attempts + 1, due_at=d.due_at, expires_at=expires_of(m, d), channel=d.channel,
            to=d.to, flow=d.flow, account=m.account, body=m.body, body_base64=m.body_base64,
            content_type=m.content_type, headers=m.headers, maybe_sent=d.maybe_sent, slot=d.slot,
        )
    )  # fmt: skip


def prefixed(prefix: bytes, bodies: Iterable[bytes]) -> Iterator[bytes]:
    """Whole due records: the shared fields, then each its own."""
    return (prefix + body[1:] for body in bodies)
