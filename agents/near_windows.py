"""What is due soon, in memory: armed deliveries by due time, ready ones by priority, bounded by flow."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush

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
SLOW_MS = 5_000
"""Couriers that need longer for what was emitted get less of it at once: what waits here can still be edited."""


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


Place = Callable[[str, str], int]
"""The partition of `due.<channel>` for a channel and a flow or message id."""


class NearWindows:
    """All live deliveries due at or before `horizon` are here; `due` moves those whose time has come to the ready queues."""

    def __init__(self, place: Place, bytes_max: int = 64 * 1024 * 1024, count_max: int = 200_000) -> None:
        """`bytes_max` of prepared bodies; no window is armed further once `count_max` deliveries are."""
        self.place = place
        self.bytes_max = bytes_max
        self.count_max = count_max
        self.bytes = 0
        self.horizon = START
        self.armed: dict[tuple[str, int], Armed] = {}
        self.soon: list[tuple[int, str, int]] = []

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
        if gone is not None and gone.body is not None:
            self.bytes -= len(gone.body)

    def drop_body(self, armed: Armed) -> None:
        """It was emitted; should it be emitted again, its body is made anew."""
        if armed.body is not None:
            if self.armed.get((armed.id, armed.target)) is armed:
                self.bytes -= len(armed.body)
            armed.body = None

    def _put(self, row: Row, d: Delivery, due_ms: int) -> None:
        self.disarm(row.id, d.target)
        body = due_body(row, d) if self.bytes < self.bytes_max else None
        self.bytes += len(body or b"")
        expires, of = expires_of(row.message, d), row.message.occurrence
        self.armed[row.id, d.target] = Armed(
            due_ms, minute_of(row), row.id, d.target, d.turn, row.birth, d.channel, d.flow, row.message.priority,
            None if expires is None else ms_of(expires), self.place(d.channel, d.flow or row.id), body,
            0 if of is None or d.attempts else 2 if of.alone else 1 if of.latest else 0,
        )  # fmt: skip
        heappush(self.soon, (due_ms, row.id, d.target))

    def due(self, now_ms: int, limit: int) -> Iterator[Armed]:
        """Up to `limit` deliveries whose time has come, each once; those edited or cancelled since are passed over."""
        soon = self.soon
        while limit and soon and soon[0][0] <= now_ms:
            due_ms, message_id, target = heappop(soon)
            armed = self.armed.get((message_id, target))
            if armed is not None and armed.due_ms == due_ms:
                limit -= 1
                yield armed

    def next_due_ms(self) -> int | None:
        """When to look again."""
        return self.soon[0][0] if self.soon else None


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


Entry = tuple[int, int, str, int, int, Armed]
"""-priority, due, id, target, and a number of its own, since one delivery may be here twice: once edited, once stale."""


class ReadyQueue:
    """Due deliveries of one channel: priority 9..0, then due, then id; one flow holds its share while others wait (rule 4)."""

    def __init__(self, in_flight_max: int, flow_share: int, in_flight_slow: int | None = None) -> None:
        """`flow_share`: how many of one flow may be in flight while others wait; `in_flight_slow`: of all, where acks are slow."""
        self.in_flight_max = in_flight_max
        self.in_flight_slow = in_flight_slow or in_flight_max
        self.flow_share = flow_share
        self.in_flight = 0
        self.taken = 0
        self.bursts: deque[tuple[int, int]] = deque()
        """How many had been taken in all, and when: the oldest that is not back yet comes first."""
        self.by_flow: dict[str, int] = {}
        self.pushed = 0
        self.heap: list[Entry] = []
        self.aside: dict[str, list[Entry]] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self.heap) + sum(map(len, self.aside.values()))

    def push(self, armed: Armed) -> None:
        """One more that is due."""
        self.pushed += 1
        entry = (-armed.priority, armed.due_ms, armed.id, armed.target, self.pushed, armed)
        heappush(self.aside.get(armed.flow or "", self.heap), entry)

    def room(self, now_ms: int) -> int:
        """How many places are free: fewer where what was emitted is not acked within a while.

        Counted as if acks came in order, so that a few that hang make no channel slow.
        """
        bursts, back = self.bursts, self.taken - self.in_flight
        while bursts and bursts[0][0] <= back:
            bursts.popleft()
        slow = bool(bursts) and now_ms - bursts[0][1] > SLOW_MS
        return (self.in_flight_slow if slow else self.in_flight_max) - self.in_flight

    def take(self, limit: int, now_ms: int, *, more: bool = False) -> list[Armed]:
        """The next to emit, counted as in flight. `more` is due and not here yet: others may be waiting among it."""
        self._bring_back()
        taken: list[Armed] = []
        room = min(limit, self.room(now_ms))
        while len(taken) < room and (self.heap or self.aside):
            waits_aside = not self.heap
            if waits_aside and more:
                break
            entry = self._from_aside() if waits_aside else heappop(self.heap)
            armed = entry[5]
            if not waits_aside and self._over(armed.flow) and (more or self.heap or self.aside):
                heappush(self.aside.setdefault(armed.flow or "", []), entry)
                continue
            self._count(armed.flow, 1)
            taken.append(armed)
        if taken:
            self.taken += len(taken)
            self.bursts.append((self.taken, now_ms))
        return taken

    def put_aside(self, held: Callable[[Armed], bool]) -> None:
        """Drop those that wait and are held back from now on."""
        for flow, waiting in [(None, self.heap), *self.aside.items()]:
            kept = [entry for entry in waiting if not held(entry[5])]
            if len(kept) < len(waiting):
                heapify(kept)
                if flow is None:
                    self.heap = kept
                elif kept:
                    self.aside[flow] = kept
                else:
                    del self.aside[flow]

    def release(self, flow: str | None) -> None:
        """One of these is in flight no more."""
        self._count(flow, -1)

    def _over(self, flow: str | None) -> bool:
        return flow is not None and self.by_flow.get(flow, 0) >= self.flow_share

    def _count(self, flow: str | None, by: int) -> None:
        self.in_flight += by
        if flow is not None:
            left = self.by_flow.get(flow, 0) + by
            if left > 0:
                self.by_flow[flow] = left
            else:
                self.by_flow.pop(flow, None)

    def _bring_back(self) -> None:
        for flow in [f for f in self.aside if not self._over(f)]:
            waiting = self.aside[flow]
            for _ in range(min(len(waiting), self.flow_share - self.by_flow.get(flow, 0))):
                heappush(self.heap, heappop(waiting))
            if not waiting:
                del self.aside[flow]

    def _from_aside(self) -> Entry:
        flow = min(self.aside, key=lambda f: self.aside[f][0][:5])
        entry = heappop(self.aside[flow])
        if not self.aside[flow]:
            del self.aside[flow]
        return entry


def prefixed(prefix: bytes, bodies: Iterable[bytes]) -> Iterator[bytes]:
    """Whole due records: the shared fields, then each its own."""
    return (prefix + body[1:] for body in bodies)
