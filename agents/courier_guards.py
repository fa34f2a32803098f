"""The rules of a courier as questions, each by itself: a simulation takes one away by overriding it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from agents.ports import Lease, Memory
from schemas.due import DueMessage
from schemas.outcomes import OutcomeRecord, outcome_key

State = Literal["new", "running", "stopping", "gone"]


class CourierGuards:
    """Names in brackets are those of DESIGN section 5."""

    lease: Lease
    memory: Memory
    state: State
    ended: str
    """Why it let go; empty before."""
    taken_over_end: int
    """Due records below may have been begun by a former courier."""
    in_flight: dict[str, tuple[int, ...]]
    """Turns being sent, and the due offsets of their repeats."""

    def let_go(self, why: str) -> None:
        """Nothing more is sent, written, acked or done."""
        raise NotImplementedError

    def may_start(self) -> bool:
        """Whether anything may be begun or acked here [courier_lease]; a lost lease ends the partition."""
        if not self.lease():
            self.let_go("lease lost")
        return self.state == "running"

    def is_void(self, message: DueMessage) -> bool:
        """Whether a fence of a newer epoch was passed [fence, fence_memory]."""
        return message.epoch < self.memory.epochs.get(message.partition, -1)

    def is_void_outcome(self, claim: int, newest: int) -> bool:
        """Whether a newer courier had claimed before an outcome landed [courier_claim]."""
        return claim < newest

    def key_of(self, message: DueMessage) -> str:
        """What is sent once [turn, birth]."""
        return outcome_key(message.key, message.birth, message.turn)

    def recorded(self, keys: Sequence[str]) -> Sequence[OutcomeRecord | None]:
        """What is known of these turns [record_all]."""
        return self.memory.get_many(keys)

    def is_in_flight(self, key: str) -> bool:
        """Whether this turn is being sent [one_at_a_time]."""
        return key in self.in_flight

    def was_taken_over(self, offset: int) -> bool:
        """Whether a former courier may have begun this record [taken_over]."""
        return offset < self.taken_over_end

    def is_stale(self, message: DueMessage, forgotten: datetime) -> bool:
        """Whether it was emitted before what a courier remembers (rule 9)."""
        return message.emitted_at < forgotten

    def is_early(self, message: DueMessage, now: datetime) -> bool:
        """Whether it is not due yet by the own clock (G2)."""
        return now < message.due_at

    def has_expired(self, expires_at: datetime, now: datetime) -> bool:
        """Whether its time is over (section 6)."""
        return expires_at <= now

    def may_ack(self) -> bool:
        """Whether what is durable may be acked: not by a zombie [courier_lease]."""
        if not self.lease():
            self.let_go("lease lost")
        return self.state != "gone"
