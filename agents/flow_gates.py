"""Limits applied in one due partition: a message goes at once, or at its exact slot (section 6)."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

from agents.flows import Flows
from agents.gate import Gate
from agents.send_job import Hold, Job
from schemas.due import DueMessage
from schemas.flow_limits import CHANNEL_MARK, FlowLimits, Pace
from schemas.outcomes import Deferred, Outcome, Paced, SlotOf
from schemas.times import at, ms_of

HOLD_US = 500_000
"""A slot so near is waited for in hand: to go back to the timetable and come again takes almost as long."""
PAUSE_MS = 1_000
"""Until then its owner, too, has heard of the pause."""


class Begins(Enum):
    """When a send that is admitted counts as begun."""

    NOW = "with the answer"
    LEAVING = "with the answer, and its request leaves in the same step"
    LATER = "not yet: it is noted or connected first, and asks again"


class FlowGates:
    """The gates of one due partition. A flow is in one partition only; a channel's limits are shared out among all."""

    def __init__(self, flows: Flows, channel: str, partitions: int, paces: Mapping[str, Paced]) -> None:
        """`partitions`: of the due topic; `paces`: what former couriers wrote down."""
        self._flows, self._channel, self._partitions, self._paces = flows, channel, partitions, paces
        self._gates: dict[str, Gate] = {}
        self._doubted_us = 0
        self._doubted: set[str] = set()
        self._given_up: set[str] = set()
        self.unheard = flows.on_change(self._hear)
        """To be called at the end."""

    def _hear(self, key: str, *, raised: bool) -> None:
        """Slots that a lower rate gave are given up by the owners: the next ones come after what was sent."""
        if raised and key in self._gates:
            self._gates[key].given_up = True
        elif raised:
            self._given_up.add(key)

    def begin(self, now_ms: int) -> None:
        """Former couriers may have sent up to now."""
        self._doubted_us = now_ms * 1_000

    def doubt(self, flow: str | None) -> None:
        """A former courier may have begun a message of this flow, and nobody wrote it down."""
        for key in ({flow} if flow else set()) | {CHANNEL_MARK + self._channel}:
            if key not in self._doubted:
                self._doubted.add(key)
                if key in self._gates:
                    self._gates[key].doubt(self._doubted_us)

    def admit(self, job: Job, now: datetime, *, begins: Begins) -> Outcome | Hold | None:
        """What stands against sending it now: nothing, a wait of moments, or `Deferred` until its slot or a pause's end."""
        message, now_us = job.message, ms_of(now) * 1_000
        paused = self._flows.pause_of(message.flow, self._channel) if self._flows.paused else None
        if paused is not None:
            return Deferred(until=at(now_us // 1_000 + PAUSE_MS), reason=f"{paused} is paused")
        if job.at_ms < 0:
            deferred = self._plan(job, now, now_us)
            if deferred is not None:
                return deferred
        begin_us = max(job.at_ms * 1_000, self.free_us(job, now_us))
        if begin_us > now_us:
            job.at_ms = -(-begin_us // 1_000)
            return Hold.EARLY
        if begins is not Begins.LATER:
            for gate in job.gates:
                (gate.begin if begins is Begins.NOW else gate.leave)(now_us)
        return None

    def free_us(self, job: Job, now_us: int) -> int:
        """When its send may begin, as far as its gates go."""
        return max((gate.free_us(now_us) for gate in job.gates), default=now_us)

    def put_off(self, job: Job, now: datetime) -> Deferred:
        """Its next slot, where it has waited for its turn too long."""
        now_us = ms_of(now) * 1_000
        gate = max(job.gates, key=lambda gate: gate.free_us(now_us))
        assert gate.pace is not None, "without a pace it is free"
        of: SlotOf = "channel" if gate.key.startswith(CHANNEL_MARK) else "flow"
        return _deferred(job.message, gate.slot_us(gate.pace, now_us), of, gate.key, now)

    def _plan(self, job: Job, now: datetime, now_us: int) -> Deferred | None:
        """Its place among the sends that begin soon, or its slot later on."""
        message, found, at_us = job.message, self._of(job.message, now_us), now_us
        job.gates = tuple(gate for gate, _, _ in found)
        for gate, pace, of in found:
            slot_us = self._slot(gate, pace, message, of, now_us)
            if slot_us > now_us + HOLD_US:
                return _deferred(message, slot_us, of, gate.key, now)
            at_us = max(at_us, slot_us)
        job.at_ms = -(-at_us // 1_000)
        for gate, pace, _ in found:
            gate.plan(pace, at_us)
        return None

    def _slot(self, gate: Gate, pace: Pace, message: DueMessage, of: SlotOf, now_us: int) -> int:
        """Its slot: the one it came back for, if that can be kept; else the next one."""
        if message.slot in (of, "channel"):
            at_us = gate.plan_us(pace, now_us)
            if at_us <= now_us + HOLD_US:
                return at_us
        return gate.slot_us(pace, now_us)

    def _of(self, message: DueMessage, now_us: int) -> list[tuple[Gate, Pace, SlotOf]]:
        found: list[tuple[Gate, Pace, SlotOf]] = []
        own, whole = self._flows.of(message.flow), self._flows.of_channel(self._channel)
        if own is not None and message.flow is not None:
            self._add(found, self._gate(message.flow, own, 1, now_us), "flow")
        if whole is not None:
            self._add(found, self._gate(CHANNEL_MARK + self._channel, whole, self._partitions, now_us), "channel")
        return found

    def _add(self, found: list[tuple[Gate, Pace, SlotOf]], gate: Gate, of: SlotOf) -> None:
        if gate.pace is not None:
            found.append((gate, gate.pace, of))

    def _gate(self, key: str, limits: FlowLimits, share: int, now_us: int) -> Gate:
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = Gate(key, share, self._paces.get(key))
            gate.given_up = key in self._given_up
            gate.set(limits, now_us + HOLD_US)
            if key in self._doubted:
                gate.doubt(self._doubted_us)
        gate.set(limits, now_us + HOLD_US)
        return gate


def _deferred(message: DueMessage, slot_us: int, of: SlotOf, key: str, now: datetime) -> Deferred:
    """Back to the timetable until its slot, or until it expires, if that comes first."""
    until = at(-(-slot_us // 1_000))
    shown = f"{until:%H:%M:%S}.{until.microsecond // 1_000:03}"
    day = "" if until.date() == now.date() else f"{until:%Y-%m-%d} "
    if message.expires_at is not None and message.expires_at < until:
        return Deferred(until=message.expires_at, reason=f"expires before its slot at {shown} ({day}UTC, {key})")
    return Deferred(until=until, slot=of, reason=f"waiting for its slot at {shown} ({day}UTC, {key})")
