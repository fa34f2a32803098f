"""What is given, as JSON: datetimes as RFC 3339, lengths of time as ISO 8601, bytes as base64."""

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any


def encoded(value: Any) -> bytes:
    """Compact JSON, UTF-8. Raises TypeError, and ValueError for a datetime without an offset."""
    return json.dumps(value, default=plain, ensure_ascii=False, separators=(",", ":")).encode()


def plain(value: Any) -> Any:
    """What JSON has no form for, as text. Raises TypeError, and ValueError for a datetime without an offset."""
    match value:
        case datetime():
            if value.tzinfo is None:
                raise ValueError(f"{value} has no offset: give a datetime with a tzinfo, as in datetime.now(UTC)")
            return value.isoformat()
        case timedelta():
            seconds = f"{abs(value).total_seconds():f}".rstrip("0").rstrip(".")
            return f"{'-' if value < timedelta(0) else ''}PT{seconds}S"
        case _:
            raise TypeError(f"{type(value).__name__} is no JSON: give text, numbers, lists, dicts, datetimes")


def message_json(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message whose `body` may be bytes."""
    given = dict(message)
    if isinstance(given.get("body"), bytes):
        given["body_base64"] = b64encode(given.pop("body")).decode()
    return given


def query(given: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that are not None."""
    return {name: _word(value) for name, value in given.items() if value is not None}


def _word(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case list() | tuple() | set() | frozenset():
            return ",".join(map(_word, value))
        case _:
            return str(plain(value))
