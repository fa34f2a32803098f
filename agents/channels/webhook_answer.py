"""What a receiver's answer, or the lack of one, means for the message."""

import os
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from aiohttp import ClientConnectorDNSError, ClientConnectorError, ClientSSLError, InvalidURL

from schemas.outcomes import Delivered, Outcome, Rejected, Response, RetryLater
from schemas.times import ms_of

BODY_READ_MAX = 4_096
BODY_KEPT = 1_024
HEADERS_KEPT = frozenset({b"content-type", b"retry-after", b"date"})
HEADER_KEPT = 200
REASON_KEPT = 300
RETRY_AFTER_MS_MAX = 24 * 3_600_000
AGAIN = frozenset({408, 425, 429})
PHRASES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def outcome_of(response: Response, now_ms: int) -> Outcome:
    """Standard Webhooks: 2xx is taken, 410 and other refusals are final, 408, 425, 429 and 5xx are tried again.

    Redirects are not followed: they would carry the message where its sender did not send it.
    """
    status = response.status or 0
    if 200 <= status < 300:
        return Delivered(response=response)
    reason = PHRASES.get(status, str(status))
    if status in AGAIN or 500 <= status < 600:
        after_ms = retry_after_ms(response.headers.get("retry-after"), now_ms)
        return RetryLater(reason=reason, after_ms=after_ms, response=response)
    if 300 <= status < 400:
        reason += ": redirects are not followed; send to the address that it names"
    return Rejected(reason=reason, response=response)


def retry_after_ms(value: str | None, now_ms: int) -> int | None:
    """How long a `Retry-After` asks to wait (RFC 9110, 10.2.3: seconds or a date), 24 h at most; None if unreadable."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return min(int(value[:9]) * 1_000, RETRY_AFTER_MS_MAX)
    try:
        moment = parsedate_to_datetime(value)
        until_ms = ms_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(until_ms - now_ms, 0), RETRY_AFTER_MS_MAX)


def not_connected(fault: Exception) -> Outcome:
    """What a connection that did not come about means: nothing was sent, and most faults pass."""
    match fault:
        case InvalidURL():
            return Rejected(reason=clean(f"not a URL that can be requested: {fault}", REASON_KEPT))
        case ClientConnectorDNSError():
            return RetryLater(reason=clean(f"the host {fault.host} was not found", REASON_KEPT), unanswered=True)
        case ClientConnectorError(os_error=OSError(errno=int(errno))) if not isinstance(fault, ClientSSLError):
            reason = f"no connection to {fault.host}:{fault.port}: {os.strerror(errno).lower()}"
            return RetryLater(reason=clean(reason, REASON_KEPT), unanswered=True)
        case TimeoutError():
            return RetryLater(reason="no connection within the time limit", unanswered=True)
        case _:
            return RetryLater(reason=clean(f"no connection: {fault}", REASON_KEPT), unanswered=True)


def response_of(status: int, headers: dict[bytes, bytes], body: bytes) -> Response:
    """What is kept of an answer."""
    kept = {name.decode(): clean(value.decode(errors="replace"), HEADER_KEPT) for name, value in headers.items()}
    return Response(status=status, headers=kept, body=clean(body.decode(errors="replace"), BODY_KEPT) if body else "")


def clean(text: str, length: int) -> str:
    """Text that JSON and PostgreSQL take: no lone surrogates, no NUL."""
    return text[:length].encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
