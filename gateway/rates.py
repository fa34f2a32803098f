"""How often one API key may ask this gateway: so many requests a second, and a burst of two seconds' worth at once."""

from typing import NamedTuple

from gateway.problems import ProblemError
from schemas.flow_limits import Pace, free_at_us, taken

SECOND_US = 1_000_000
BURST_S = 2
KEYS_MAX = 10_000


class Allowance(NamedTuple):
    """What is left of a key's quota, as the RateLimit header fields tell it (draft-ietf-httpapi-ratelimit-headers-10)."""

    quota: int
    remaining: int
    full_s: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The fields of a response."""
        policy = f'"key";q={self.quota};w={BURST_S}'
        limit = f'"key";r={self.remaining};t={self.full_s}'
        return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", limit.encode())]


class Rates:
    """One GCRA state per key: of this gateway, since asking another for each request would cost more than it guards."""

    def __init__(self, per_second: int) -> None:
        self._pace = Pace(SECOND_US // per_second, per_second * BURST_S)
        self._states: dict[str, int] = {}

    def take(self, key: str, now_us: int) -> Allowance:
        """One request of a key. Raises ProblemError 429, which says when to come again."""
        state = self._states.get(key, 0)
        free_us = free_at_us(state, now_us, self._pace)
        if free_us > now_us:
            raise self._too_many(free_us - now_us, self._allowance(state, now_us))
        if len(self._states) >= KEYS_MAX:
            self._states = {known: its for known, its in self._states.items() if its > now_us}
        state = self._states[key] = taken(state, now_us, self._pace)
        return self._allowance(state, now_us)

    def _allowance(self, state: int, now_us: int) -> Allowance:
        used_us = max(0, state - now_us)
        remaining = self._pace.burst - -(-used_us // self._pace.interval_us)
        return Allowance(self._pace.burst, max(0, remaining), -(-used_us // SECOND_US))

    def _too_many(self, wait_us: int, allowance: Allowance) -> ProblemError:
        detail = (
            f"this API key has asked {allowance.quota} times and more in {BURST_S} s: send it again in "
            f"{wait_us / SECOND_US:.3f} s; many messages belong into one request to /v1/messages/bulk"
        )
        headers = {"Retry-After": str(-(-wait_us // SECOND_US))}
        return ProblemError(
            429,
            "too_many_requests",
            "Too many requests",
            detail,
            headers=headers | {name.decode(): value.decode() for name, value in allowance.headers()},
        )
