"""What stands against a send now: asked of a courier's partition by the pool that sends (send_job.Hands)."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from agents.courier_guards import CourierGuards
from agents.flow_gates import Begins, FlowGates
from agents.flows import Flows
from agents.ports import Channel, Clock
from agents.send_job import Hold, Job
from schemas.due import DueMessage
from schemas.outcomes import Deferred, Delivered, Expired, Outcome, Rejected, RetryLater, Unknown
from schemas.times import CLOCK_SKEW_MS

EARLY_MAX = timedelta(milliseconds=CLOCK_SKEW_MS)
"""Not more, or a courier held what a new owner, by its horizon, takes for not emitted: and edits or cancels it."""
SENT = frozenset({Delivered, RetryLater, Rejected, Deferred, Expired, Unknown})
"""What a channel may answer."""


class CourierAdmission(CourierGuards):
    """Expiry, the early guard on its own clock, the gates of its flows; and what a doubt makes of an outcome."""

    channel: Channel
    takes_turns: bool
    """Whether the channel connects first, and asks when its request is to leave (ports.TurnChannel)."""
    clock: Clock
    flows: Flows
    gates: FlowGates

    def hold(self, job: Job, now: datetime) -> Outcome | Hold | None:
        """What stands against sending it now."""
        later = self.takes_turns or not self.honours_key(job.message)
        return self._held(job, now, Begins.LATER if later else Begins.NOW)

    def turn(self, job: Job, now: datetime) -> Outcome | Hold | None:
        """What stands against its request leaving now; if nothing, it leaves."""
        if not self.flows:
            job.gates = ()
        return self._held(job, now, Begins.LEAVING)

    def left(self, job: Job) -> None:
        """Its request has left."""
        for gate in job.gates:
            gate.left(self.clock.now_ms() * 1_000)

    def put_off(self, job: Job, now: datetime) -> Outcome:
        """Its next slot."""
        return self.gates.put_off(job, now)

    def honours_key(self, message: DueMessage) -> bool:
        """Whether a repeat does its receiver no harm (rule 10)."""
        default = self.channel.honours_key
        return self.flows.honours_key(message.flow, self.channel.name, default) if self.flows else default

    def doubted(self, job: Job, outcome: Outcome) -> Outcome:
        """An outcome other than Delivered, with the doubt that hangs over its turn; what is no outcome is Unknown."""
        if type(outcome) not in SENT:
            outcome = Unknown(reason=f"the channel answered {outcome!r}, which is no outcome: mend the channel")
        assert not isinstance(outcome, Delivered)
        if isinstance(outcome, RetryLater) and outcome.maybe_sent and not self.honours_key(job.message):
            outcome = Unknown(reason=outcome.reason, response=outcome.response, unanswered=outcome.unanswered)
        return replace(outcome, maybe_sent=True) if job.maybe and not outcome.maybe_sent else outcome

    def _held(self, job: Job, now: datetime, begins: Begins) -> Outcome | Hold | None:
        if not self.may_start():
            return Hold.GONE
        message = job.message
        if message.expires_at is not None and self.has_expired(message.expires_at, now):
            return Expired()
        if self.is_early(message, now):
            if message.due_at - now <= EARLY_MAX:
                return Hold.EARLY
            return Deferred(until=message.due_at, reason="by this courier's clock it is not due yet")
        return self.gates.admit(job, now, begins=begins) if self.flows else None
