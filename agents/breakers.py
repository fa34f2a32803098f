"""The breakers of one channel in one process: a dead endpoint costs it a probe now and then."""

import structlog

from agents.send_job import Job
from schemas.breaker import Breaker, failed
from schemas.outcomes import Deferred, Outcome, RetryLater, Unknown
from schemas.times import at

CLOSED = Breaker()
log = structlog.get_logger(__name__)


class Breakers:
    """Of endpoints whose last send was not answered: those that are `known`."""

    def __init__(self, channel: str) -> None:
        """All closed."""
        self._channel = channel
        self.known: dict[str, Breaker] = {}

    def refuse(self, job: Job, place: str, now_ms: int) -> Outcome | None:
        """Why it is not sent now: first it is put off until the next probe, when it comes back it has failed."""
        breaker = self.known.get(place)
        if breaker is None or not breaker.shut_for_ms(now_ms):
            return None
        until = at(breaker.until_ms)
        silent = f"{place} has not answered since {at(breaker.since_ms):%H:%M:%S}"
        if job.message.slot == "breaker":
            return RetryLater(reason=f"not tried: {silent} (UTC)")
        return Deferred(until=until, slot="breaker", reason=f"{silent}, it is tried again at {until:%H:%M:%S} (UTC)")

    def is_probe(self, place: str) -> bool:
        """Whether the next send to an endpoint is one: it is to be the only one under way."""
        breaker = self.known.get(place)
        return breaker is not None and breaker.is_open

    def judge(self, place: str, outcome: Outcome, now_ms: int) -> bool:
        """Take in how a send ended; whether the endpoint has just been closed, or opened again."""
        before = self.known.get(place)
        if not is_unanswered(outcome):
            if before is None:
                return False
            del self.known[place]
            if before.is_open:
                log.info("endpoint_answers", channel=self._channel, endpoint=place)
            return before.is_open
        after = self.known[place] = failed(before or CLOSED, now_ms)
        opened = after.opened > (before or CLOSED).opened
        if opened:
            until = at(after.until_ms).isoformat()
            log.warning("endpoint_silent", channel=self._channel, endpoint=place, failures=after.failures, until=until)
        return opened


def is_unanswered(outcome: Outcome) -> bool:
    """Whether the endpoint itself gave no sign of life."""
    return isinstance(outcome, RetryLater | Unknown) and outcome.unanswered
