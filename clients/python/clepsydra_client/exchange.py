"""One request until it is answered: the same steps for the blocking and the awaiting client, which only carry them out.

`exchange` yields what to do and is sent what came of it. It does no I/O and reads no clock, so it is tested by itself.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar
from uuid import uuid4

import httpx

from clepsydra_client.errors import ApiError, ClepsydraError, Unreachable, problem_error

T = TypeVar("T")
REPEATED = frozenset({429, 502, 503, 504})
"""What a repeat may mend. All are safe to repeat: whatever changes something carries its Idempotency-Key."""
NOT_REPEATED = frozenset({"archive_unavailable"})
"""Unless they say when: without a Retry-After there is no archive at all."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how patiently a request is repeated. Pauses double, each drawn between half of it and all of it."""

    attempts: int = 6
    first_pause_s: float = 0.2
    longest_pause_s: float = 10.0
    longest_retry_after_s: float = 60.0
    """A gateway that asks for more patience than this gets its error raised at once."""

    def pause_s(self, attempt: int, draw: float) -> float:
        """After the attempt of this number, from 1; `draw` lies between 0 and 1."""
        longest = min(self.longest_pause_s, self.first_pause_s * 2.0 ** (attempt - 1))
        return longest * (0.5 + draw / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """A request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    content_type: str = "application/json"
    key: str | None = None
    """The Idempotency-Key; made up where it changes something and none is given."""

    @property
    def changes(self) -> bool:
        """Whether it may change something, so that a repeat needs a key."""
        return self.method not in ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Send:
    """Send this; what comes back is the response, or the httpx.TransportError in place of one."""

    request: httpx.Request


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so long."""

    seconds: float


Steps = Generator[Send | Pause, httpx.Response | httpx.TransportError | None, httpx.Response]


def exchange(
    call: Call[Any], build: Callable[..., httpx.Request], retries: Retries, draw: Callable[[], float]
) -> Steps:
    """The steps to a good response. Raises ApiError for a problem, Unreachable where none answers."""
    key = call.key or (str(uuid4()) if call.changes else None)
    try:
        return (yield from _repeated(call, key, build, retries, draw))
    except ClepsydraError as fault:
        fault.idempotency_key = key
        raise


def _repeated(
    call: Call[Any], key: str | None, build: Callable[..., httpx.Request], retries: Retries, draw: Callable[[], float]
) -> Steps:
    headers = dict(call.headers)
    if key is not None:
        headers["Idempotency-Key"] = key
    if call.content is not None:
        headers["Content-Type"] = call.content_type
    attempt = 0
    while True:
        attempt += 1
        found = yield Send(build(call.method, call.path, params=call.params, headers=headers, content=call.content))
        assert found is not None
        if isinstance(found, httpx.Response) and found.status_code < 400:
            return found
        fault, wait_s = _judged(found)
        final = wait_s is None and isinstance(fault, ApiError) and fault.name in NOT_REPEATED
        impatient = (wait_s or 0) > retries.longest_retry_after_s
        if attempt >= retries.attempts or not _mendable(found) or final or impatient:
            raise fault from (found if isinstance(found, Exception) else None)
        yield Pause(max(wait_s or 0, retries.pause_s(attempt, draw())))


def _mendable(found: httpx.Response | httpx.TransportError) -> bool:
    if isinstance(found, httpx.Response):
        return found.status_code in REPEATED
    return not isinstance(found, httpx.UnsupportedProtocol | httpx.LocalProtocolError | httpx.ProxyError)


def _judged(found: httpx.Response | httpx.TransportError) -> tuple[ClepsydraError, float | None]:
    """The error that this is, and how long to wait at least before a repeat."""
    if isinstance(found, httpx.TransportError):
        return Unreachable(f"no answer: {str(found) or type(found).__name__}"), None
    wait_s = retry_after_s(found)
    return problem_error(found.status_code, problem_of(found), wait_s), wait_s


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The problem details of a response; of another server's page, its beginning."""
    try:
        found = response.json()
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    return {"title": f"{response.status_code} {response.reason_phrase}", "detail": response.text[:200]}


def retry_after_s(response: httpx.Response) -> float | None:
    """`Retry-After` (RFC 9110, 10.2.3), as seconds or as a date against the response's own clock; None without it."""
    given = response.headers.get("retry-after", "").strip()
    if given.isdigit():
        return float(given)
    try:
        until = parsedate_to_datetime(given)
        now = parsedate_to_datetime(response.headers["date"])
    except (KeyError, TypeError, ValueError):
        return None
    return max(0.0, (_aware(until) - _aware(now)).total_seconds())


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
