"""What is due and waits for a place in flight: by priority, bounded by flow (rule 4)."""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

from agents.near_windows import Armed, Group

SLOW_MS = 5_000
"""Couriers that need longer for what was emitted get less of it at once: what waits here can still be edited."""

Entry = tuple[int, int, str, int, int, Group]
"""-priority and due of a group, id and target of its next, a number of its own, since one delivery may be here twice."""


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
        self.heap: list[Entry] = []
        self.aside: dict[str, list[Entry]] = {}
        self._waiting = self._numbers = 0

    def __len__(self) -> int:
        """How many wait."""
        return self._waiting

    def push(self, group: Group) -> None:
        """More that are due."""
        self._waiting += len(group.waiting)
        heap = self.heap if group.flow is None else self.aside.get(group.flow, self.heap)
        self._put(heap, group)

    def _put(self, heap: list[Entry], group: Group) -> None:
        self._numbers += 1
        following = group.waiting[-1]
        heappush(heap, (-group.priority, group.due_ms, following.id, following.target, self._numbers, group))

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
            if self.heap:
                self._take_first(taken, room, more=more)
            elif more:
                break
            else:
                self._take_aside(taken, room)
        if taken:
            self._waiting -= len(taken)
            self.taken += len(taken)
            self.bursts.append((self.taken, now_ms))
        return taken

    def _take_first(self, taken: list[Armed], room: int, *, more: bool) -> None:
        """The first group's next, up to its flow's share while others wait; beyond that it is put aside."""
        entry = heappop(self.heap)
        flow, most = entry[5].flow, room - len(taken)
        if flow is not None and (more or self.heap or self.aside):
            share = self.flow_share - self.by_flow.get(flow, 0)
            if share <= 0:
                heappush(self.aside.setdefault(flow, []), entry)
                return
            most = min(most, share)
        self._take_of(entry, taken, most, self.heap[0] if self.heap else None, self.heap)

    def _take_aside(self, taken: list[Armed], room: int) -> None:
        """Only flows that have their share wait: the first of all that are theirs."""
        flow = min(self.aside, key=lambda f: self.aside[f][0])
        waiting = self.aside[flow]
        entry = heappop(waiting)
        rivals = [others[0] for others in self.aside.values() if others]
        self._take_of(entry, taken, room - len(taken), min(rivals, default=None), waiting)
        if not waiting:
            del self.aside[flow]

    def _take_of(self, entry: Entry, taken: list[Armed], most: int, rival: Entry | None, back: list[Entry]) -> None:
        """Up to `most` of a group, as long as they come before `rival`; what is left of it goes `back`."""
        group = entry[5]
        waiting, before = group.waiting, len(taken)
        if rival is None or rival[:2] != entry[:2]:
            taken += waiting[: -most - 1 : -1]
            del waiting[-most:]
        else:
            while waiting and most and (waiting[-1].id, waiting[-1].target) <= rival[2:4]:
                taken.append(waiting.pop())
                most -= 1
        self._count(group.flow, len(taken) - before)
        if waiting:
            self._put(back, group)

    def put_aside(self, held: Callable[[Armed], bool]) -> None:
        """Drop those that wait and are held back from now on."""
        for flow, entries in [(None, self.heap), *self.aside.items()]:
            for entry in entries:
                waiting = entry[5].waiting
                kept = [armed for armed in waiting if not held(armed)]
                self._waiting -= len(waiting) - len(kept)
                waiting[:] = kept
            left = [entry[5] for entry in entries if entry[5].waiting]
            entries.clear()
            for group in left:
                self._put(entries, group)
            if flow is not None and not entries:
                del self.aside[flow]

    def release(self, flow: str | None) -> None:
        """One of these is in flight no more."""
        self._count(flow, -1)

    def _count(self, flow: str | None, by: int) -> None:
        self.in_flight += by
        if flow is not None:
            left = self.by_flow.get(flow, 0) + by
            if left > 0:
                self.by_flow[flow] = left
            else:
                self.by_flow.pop(flow, None)

    def _bring_back(self) -> None:
        """Of a flow that has less than its share, no more groups than it may have deliveries."""
        for flow in [f for f in self.aside if self.by_flow.get(f, 0) < self.flow_share]:
            waiting = self.aside[flow]
            for _ in range(min(len(waiting), self.flow_share - self.by_flow.get(flow, 0))):
                heappush(self.heap, heappop(waiting))
            if not waiting:
                del self.aside[flow]
