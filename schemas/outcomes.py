"""What a courier answers for one due message: a closed union, kept in `outcomes.<channel>` and sent as an ack."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from schemas.versions import version

SlotOf = Literal["", "flow", "channel", "breaker"]
"""Who gave a deferred message the slot at which it comes back; empty: nobody, it only waits."""


class Response(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the receiver said, as far as it said anything."""

    status: int | None = None
    headers: dict[str, str] = {}
    body: str = ""


class _Outcome(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="outcome"):
    response: Response | None = None


class Delivered(_Outcome, frozen=True, kw_only=True, tag="delivered"):
    """The receiver took it."""


class RetryLater(_Outcome, frozen=True, kw_only=True, tag="retry_later"):
    """It failed and may work later; `after_ms`: the receiver's own wish; `unanswered`: no sign of life from its endpoint."""

    reason: str
    after_ms: int | None = None
    maybe_sent: bool = False
    unanswered: bool = False


class Rejected(_Outcome, frozen=True, kw_only=True, tag="rejected"):
    """It will never work."""

    reason: str
    maybe_sent: bool = False


class Deferred(_Outcome, frozen=True, kw_only=True, tag="deferred"):
    """Not tried: its slot is at `until`."""

    until: datetime
    slot: SlotOf = ""
    reason: str = ""
    maybe_sent: bool = False


class Expired(_Outcome, frozen=True, kw_only=True, tag="expired"):
    """Not tried: past its `expires_at`."""

    maybe_sent: bool = False


class Stale(_Outcome, frozen=True, kw_only=True, tag="stale"):
    """Not tried: emitted longer ago than the courier remembers; its owner emits it afresh."""

    maybe_sent: bool = False


class Unknown(_Outcome, frozen=True, kw_only=True, tag="unknown"):
    """Perhaps sent, on a channel that honours no key; `unanswered` as of RetryLater."""

    reason: str
    maybe_sent: bool = True
    unanswered: bool = False


Outcome = Delivered | RetryLater | Rejected | Deferred | Expired | Stale | Unknown


class Paced(Struct, frozen=True):
    """What a flow (or `channel:<name>`) has used of its rate: GCRA's state of slots given, and of sends begun."""

    flow: str
    given_us: int
    sent_us: int


class OutcomeRecord(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="kind", tag="outcome"):
    """A courier's memory of one turn; void when a newer claim than `claim` stands before it."""

    v: int = version()
    claim: int
    key: str
    birth: int
    turn: int
    due_at: datetime
    started_at: datetime | None = None
    finished_at: datetime
    result: Outcome
    paced: tuple[Paced, ...] = ()


class CourierClaim(Struct, frozen=True, kw_only=True, tag_field="kind", tag="claim"):
    """From its offset on, one courier's outcomes count in this partition."""

    v: int = version()
    courier: str


class EpochSeen(Struct, frozen=True, kw_only=True, tag_field="kind", tag="epoch"):
    """The highest epoch of one timetable partition whose fence this courier has passed."""

    v: int = version()
    claim: int
    partition: int
    epoch: int


class DoneBefore(Struct, frozen=True, kw_only=True, tag_field="kind", tag="done_before"):
    """Every due record of this partition below `offset` is done; `log`: the topic id of that due log.

    It is true whoever wrote it, so no claim voids it.
    """

    v: int = version()
    log: str
    offset: int


class Started(Struct, frozen=True, kw_only=True, tag_field="kind", tag="started"):
    """A send of this turn may have begun; durable before it does where no key is honoured (rule 10)."""

    v: int = version()
    claim: int
    key: str
    birth: int
    turn: int
    due_at: datetime
    at: datetime


class Ack(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """An outcome on its way back to the owner: counts only for the birth and turn that the row has."""

    v: int = version()
    id: str
    target: int
    birth: int
    turn: int
    started_at: datetime | None = None
    finished_at: datetime
    result: Outcome


def outcome_key(key: str, birth: int, turn: int) -> str:
    """The Kafka key of an outcome: one record per delivery, birth and turn."""
    return f"{key}!{birth}!{turn}"
