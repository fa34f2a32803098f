"""The lanes of one channel in one process: each endpoint's, and those of flows that have a parallelism."""

from collections.abc import Iterable

from agents.flows import Flows
from agents.lane import FLOW
from agents.lane import Lane as AnyLane
from agents.send_job import Job, endpoint
from schemas.flow_limits import CHANNEL_MARK

Lane = AnyLane[Job]


class Lanes:
    """All lanes of one channel in one process; those with nothing in them are forgotten."""

    def __init__(self, channel: str, share: int, flows: Flows) -> None:
        """`share`: sends at once to one endpoint; `flows` say how many of one flow, or in all."""
        self._channel, self._share, self._flows = channel, share, flows
        self._lanes: dict[str, Lane] = {}
        self._full: set[str] = set()
        self.waiting = 0
        """How many wait in all lanes."""

    def blocked(self, job: Job) -> Lane | None:
        """The lane in which it has to wait."""
        if not self._full:
            return None
        return next((lane for lane in self._of(job) if lane.full), None)

    def park(self, job: Job, lane: Lane) -> list[Job]:
        """Let it wait; what may go on instead, since its place in other lanes is free."""
        lane.parked.append(job)
        self.waiting += 1
        return self._next(other for other in self._of(job) if other is not lane)

    def enter(self, job: Job, now_ms: int, *, probe: bool) -> None:
        """Its send begins; as a probe it is the only one to its endpoint."""
        job.lanes = tuple(self._of(job))
        for lane in job.lanes:
            lane.enter(job, now_ms)
        if probe and job.lanes:
            job.lanes[0].probing = True
        self._full.update(lane.key for lane in job.lanes if lane.full)

    def leave(self, job: Job, now_ms: int) -> list[Job]:
        """Its send is over; what may go on now."""
        lanes, job.lanes = job.lanes, ()
        for lane in lanes:
            lane.leave(job, now_ms)
            lane.probing = False
        return self._next(lanes)

    def pass_by(self, job: Job) -> list[Job]:
        """It was not sent after all; what may go on now."""
        return self._next(self._of(job))

    def empty(self, place: str) -> list[Job]:
        """Everything that waits for an endpoint."""
        lane = self._lanes.get(place)
        if lane is None:
            return []
        waiting = list(lane.parked)
        lane.parked.clear()
        self.waiting -= len(waiting)
        return waiting

    def surplus(self, now_ms: int) -> list[tuple[Job, int, str]]:
        """Takes out what would wait too long: the job, when it is to come again, and where it waits."""
        crowded = [lane for lane in self._lanes.values() if lane.parked]
        found = [(job, until, lane.shown) for lane in crowded for job, until in lane.surplus(now_ms)]
        self.waiting -= len(found)
        return found

    def _next(self, lanes: Iterable[Lane]) -> list[Job]:
        found: list[Job] = []
        for lane in lanes:
            if lane.full:
                continue
            self._full.discard(lane.key)
            if lane.parked:
                found.append(lane.parked.popleft())
                self.waiting -= 1
            elif not lane.begun:
                self._lanes.pop(lane.key, None)
        return found

    def _of(self, job: Job) -> list[Lane]:
        """The endpoint's first."""
        message = job.message
        place = endpoint(message.to)
        found = [self._lane(place, self._share)] if place else []
        if self._flows:
            own, whole = self._flows.of(message.flow), self._flows.of_channel(self._channel)
            if own is not None and own.parallelism is not None:
                found.append(self._lane(f"{FLOW}{message.flow}", own.parallelism))
            if whole is not None and whole.parallelism is not None:
                found.append(self._lane(f"{FLOW}{CHANNEL_MARK}{self._channel}", whole.parallelism))
        return found

    def _lane(self, key: str, limit: int) -> Lane:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, limit)
        lane.limit = limit
        return lane
