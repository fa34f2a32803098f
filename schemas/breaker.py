"""A breaker for one endpoint: after some failures in a row nothing is sent there but a probe now and then.

A pure state machine. The libraries for it (purgatory, aiobreaker, pybreaker) wrap calls and read the clock themselves;
here a send must not cost a context manager, and rules take the time as an argument.
"""

from msgspec import Struct
from msgspec.structs import replace

FAILURES = 5
"""In a row, none of them answered: then it opens."""
OPEN_MS = 5_000
OPEN_MS_MAX = 60_000


class Breaker(Struct, frozen=True):
    """`failures` in a row, since `since_ms`; open until `until_ms`, which the `opened`-th time in a row made so."""

    failures: int = 0
    since_ms: int = 0
    opened: int = 0
    until_ms: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it lets through nothing, or one probe at a time."""
        return self.opened > 0

    def shut_for_ms(self, now_ms: int) -> int:
        """How long nothing is let through; 0: a probe is."""
        return max(0, self.until_ms - now_ms)


def failed(breaker: Breaker, now_ms: int) -> Breaker:
    """After a send that was not answered; a failed probe opens it for twice as long, a minute at most."""
    failures = breaker.failures + 1
    since_ms = breaker.since_ms or now_ms
    if failures < FAILURES:
        return replace(breaker, failures=failures, since_ms=since_ms)
    if breaker.shut_for_ms(now_ms):
        return replace(breaker, failures=failures)  # one that was under way when it opened
    open_ms = min(OPEN_MS << min(breaker.opened, 10), OPEN_MS_MAX)
    return Breaker(failures, since_ms, breaker.opened + 1, now_ms + open_ms)
