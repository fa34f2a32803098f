"""Times as people give them on a command line."""

import re
from datetime import UTC, datetime, timedelta

import msgspec

from gateway.errors import UserError
from schemas.times import at, rfc3339

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def moment(text: str, option: str = "--at") -> str:
    """An RFC 3339 time with an offset, as it was given to `option`. Raises UserError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        instead = ", or use --in" if option == "--at" else ""
        raise UserError(f"{option} {text!r} is no time: write 2026-11-24T08:00:00+01:00 or ...Z{instead}") from None
    if found.tzinfo is None:
        raise UserError(f"{option} {text!r} has no offset: add one, as in {text}Z or {text}+01:00")
    return found.isoformat()


def after(text: str, now_ms: int) -> str:
    """The time so much later than now: `90s`, `1h30m`, `2d`, or ISO 8601 such as `PT5M`. Raises UserError."""
    delay = span(text)
    try:
        return rfc3339(now_ms + round(delay / timedelta(milliseconds=1)))
    except OverflowError:
        raise UserError(f"--in {text!r} ends after the year 9999: give a nearer time") from None


def span(text: str) -> timedelta:
    """A length of time. Raises UserError."""
    parts = PART.findall(text)
    try:
        if parts and "".join(number + unit for number, unit in parts) == text:
            return timedelta(seconds=sum(float(number) * UNITS[unit] for number, unit in parts))
        found = msgspec.convert(text.upper(), timedelta)
    except (msgspec.ValidationError, OverflowError):
        raise UserError(f"--in {text!r} is no length of time: write 30s, 5m, 1h30m, 2d or PT5M") from None
    if found < timedelta(0):
        raise UserError(f"--in {text!r} lies in the past: give a positive length of time")
    return found


def distance(when: str, now_ms: int) -> str:
    """`in 2 h` or `5 min ago`, of an RFC 3339 time."""
    seconds = (datetime.fromisoformat(when).astimezone(UTC) - at(now_ms)).total_seconds()
    size = abs(seconds)
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h"), (float("inf"), 86400, "days")):
        if size < limit:
            text = f"{size / unit:.0f} {name}"
            break
    else:  # pragma: no cover
        raise AssertionError
    return f"in {text}" if seconds >= 0 else f"{text} ago"
