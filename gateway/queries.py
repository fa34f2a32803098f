"""What a list is asked for, out of the query of a request: filters, limit, order, cursor."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec
from fastapi import Request
from msgspec import Struct

from gateway.problems import invalid
from schemas.lifecycle import MessageState
from schemas.wire import Fault
from topology.archive import Filter, Order

LIMIT_MAX = 1_000
LIMIT = 100
LISTED_STATES = tuple(state.value for state in MessageState if state is not MessageState.EMITTED)
HELD_STATES = ("dead", "unknown")
MESSAGE_FILTERS = ("state", "account", "tag", "channel", "due_from", "due_to", "q")
LETTER_FILTERS = ("state", "account", "channel")
K = TypeVar("K")


class _Cursor(Struct, frozen=True, array_like=True):
    asked: str
    key: msgspec.Raw


def read_filter(given: Mapping[str, str], states: Sequence[str] = LISTED_STATES) -> Filter:
    """The filter that the names in MESSAGE_FILTERS say. Raises ProblemError 422, naming the field."""
    return Filter(
        states=_states(given.get("state"), states),
        account=_text(given, "account"),
        tag=_text(given, "tag"),
        channel=_text(given, "channel"),
        id_prefix=_text(given, "q"),
        due_from=_moment(given, "due_from"),
        due_to=_moment(given, "due_to"),
    )


def check_names(request: Request, known: Sequence[str]) -> dict[str, str]:
    """The query. Raises ProblemError 422 for a name that is not known: a filter that was overlooked would list all."""
    given = dict(request.query_params)
    for name in given:
        if name not in known:
            raise invalid(Fault(name, "is no parameter of this list", f"use some of {', '.join(known)}"))
    return given


def read_limit(given: Mapping[str, str]) -> int:
    """Of a page. Raises ProblemError 422."""
    text = given.get("limit", str(LIMIT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= LIMIT_MAX):
        raise invalid(Fault("limit", f"is {text!r}", f"give 1 to {LIMIT_MAX}"))
    return int(text)


def read_order(given: Mapping[str, str]) -> Order:
    """Of due times. Raises ProblemError 422."""
    match given.get("order", "asc"):
        case "asc":
            return "asc"
        case "desc":
            return "desc"
        case other:
            raise invalid(Fault("order", f"is {other!r}", "give asc, the earliest due first, or desc"))


def read_flag(given: Mapping[str, str], name: str) -> bool:
    """Raises ProblemError 422 for anything but true and false."""
    text = given.get(name, "false").lower()
    if text not in ("true", "false"):
        raise invalid(Fault(name, f"is {text!r}", "give true or false"))
    return text == "true"


def next_cursor(key: Struct, given: Mapping[str, str]) -> str:
    """Where the next page of this list starts; opaque to who gets it."""
    cursor = _Cursor(_digest(given), msgspec.Raw(msgspec.json.encode(key)))
    return urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def read_cursor(given: Mapping[str, str], kind: type[K]) -> K | None:
    """None for the first page. Raises ProblemError 422 for one that is of another list."""
    text = given.get("cursor")
    if not text:
        return None
    remedy = "give the cursor of the page before, with the same filters, or none for the first page"
    try:
        cursor = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Cursor)
        key = msgspec.json.decode(cursor.key, type=kind)
    except (ValueError, msgspec.DecodeError):
        raise invalid(Fault("cursor", "is no cursor", remedy)) from None
    if cursor.asked != _digest(given):
        raise invalid(Fault("cursor", "is of a list with other filters", remedy))
    return key


def _digest(given: Mapping[str, str]) -> str:
    """Of all that says which list it is."""
    asked = sorted((name, text) for name, text in given.items() if name not in ("cursor", "limit", "bodies"))
    return blake2b(msgspec.json.encode(asked), digest_size=6).hexdigest()


def _text(given: Mapping[str, str], name: str) -> str | None:
    text = given.get(name)
    if text is None:
        return None
    if not text or "\0" in text:
        raise invalid(Fault(name, "is empty or has a NUL", "give what to look for, or leave it out"))
    return text


def _states(text: str | None, known: Sequence[str]) -> tuple[str, ...] | None:
    if text is None:
        return None
    states = tuple(part.strip() for part in text.split(","))
    for state in states:
        if state not in known:
            also = "; emissions are not archived, `GET /v1/messages/{id}` shows them" if state == "emitted" else ""
            raise invalid(Fault("state", f"is {state!r}", f"use some of {', '.join(known)}, with commas{also}"))
    return states


def _moment(given: Mapping[str, str], name: str) -> datetime | None:
    text: Any = given.get(name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a `+` that was not escaped came as a space
    except ValueError:
        raise invalid(Fault(name, f"is {text!r}", "write RFC 3339, as in 2026-11-23T08:00:00Z")) from None
    if found.tzinfo is None:
        raise invalid(Fault(name, "has no offset", "give the offset, as in 2026-11-23T08:00:00+01:00 or ...Z"))
    return found
