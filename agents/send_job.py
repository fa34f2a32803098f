"""One due message in a courier's hands, and what its partition says before it is sent."""

from datetime import datetime
from enum import Enum
from typing import Protocol

from msgspec import Struct

from agents.gate import Gate
from agents.lane import Lane
from schemas.due import DueMessage
from schemas.outcomes import Outcome
from schemas.times import EPOCH


class Hold(Enum):
    """Why a job is not sent now, other than by an outcome."""

    EARLY = "wait until it is due, or until its slot"
    GONE = "its partition has stopped: drop it, the next courier has it"


class Job(Struct, gc=False):
    """`maybe`: a former courier may have begun this turn. The rest is known once it is over.

    `at_ms`: its slot, once it has one, and `gates`: who gave it. `lanes`: those in which it is under way.
    """

    hands: "Hands"
    message: DueMessage
    key: str
    offset: int
    maybe: bool
    outcome: Outcome | None = None
    begun: datetime | None = None
    ended: datetime = EPOCH
    at_ms: int = -1
    gates: tuple[Gate, ...] = ()
    lanes: tuple[Lane["Job"], ...] = ()


class Hands(Protocol):
    """A partition, as the pool that sends its messages sees it."""

    def hold(self, job: Job, now: datetime) -> Outcome | Hold | None:
        """What stands against sending it now: an outcome instead, a reason to wait or drop; None: send."""
        ...

    def tell(self, job: Job, outcome: Outcome, begun: datetime | None, ended: datetime) -> None:
        """The outcome; `begun` is None where no send began."""
        ...

    async def note(self, job: Job) -> bool:
        """Make durable that its send may begin (rule 10); False when the partition has gone."""
        ...

    def honours_key(self, message: DueMessage) -> bool:
        """Whether a repeat does its receiver no harm (rule 10)."""
        ...

    def turn(self, job: Job, now: datetime) -> Outcome | Hold | None:
        """As `hold`, where all is ready and only the request has to leave; if nothing stands against it, it leaves now."""
        ...

    def left(self, job: Job) -> None:
        """Its request has left."""
        ...

    def put_off(self, job: Job, now: datetime) -> Outcome:
        """Its next slot: it has waited for its turn too long."""
        ...

    def enters(self, change: int) -> None:
        """So many more have a place among the concurrent sends, or fewer."""
        ...

    def begins(self, job: Job) -> None:
        """It is under way from now until `tell`, and the next courier in this process may take it over (`job.hands`)."""
        ...


def endpoint(to: str) -> str:
    """Scheme and host of a URL, any other address whole: what one slow receiver is known by."""
    scheme = to.find("://")
    if scheme < 0:
        return to
    ends = [end for end in (to.find(c, scheme + 3) for c in "/?#") if end >= 0]
    return to[: min(ends)].lower() if ends else to.lower()
