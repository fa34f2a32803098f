"""Messages: schedule, look, change, cancel; one by one, many at once, by filter."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, Unpack, overload
from urllib.parse import quote

import httpx

from clepsydra_client.bulk import BYTES_MAX, LINES_MAX, Batches, ndjson_call
from clepsydra_client.endpoints import (
    Awaiting,
    Blocking,
    Group,
    Lines,
    M,
    Pages,
    endpoint,
    listing,
    paged,
    read_one,
    streaming,
)
from clepsydra_client.errors import problem_error
from clepsydra_client.exchange import Call
from clepsydra_client.given import Changes, Filter, Length, Moment, NewMessage, Which
from clepsydra_client.reading import read
from clepsydra_client.records import Accepted, Cancelled, Line, Message, Result
from clepsydra_client.writing import encoded, message_json, query

MESSAGES = "/v1/messages"


def message_path(message_id: str, *, act: str = "") -> str:
    """The address of a message or of something done to it."""
    return f"{MESSAGES}/{quote(message_id, safe='')}" + (f"/{act}" if act else "")


class Messages(Group[M]):
    """`client.messages`. Whatever changes something takes an `idempotency_key`, and makes one up where none is given."""

    @endpoint
    def create(self, *, idempotency_key: str | None = None, **message: Unpack[NewMessage]) -> Call[Accepted]:
        """Schedule a message. The same id or key and content again is the same message: `repeated` says so.

        Raises Conflict for an id or key that has other content, Refused for a value that cannot be used.
        """
        content = encoded(message_json(message))
        return Call(method="POST", path=MESSAGES, read=_created, content=content, key=idempotency_key)

    @endpoint
    def get(self, message_id: str) -> Call[Message]:
        """All that its owner knows of a message, at this moment. Raises NotFound."""
        return Call(method="GET", path=message_path(message_id), read=read_one(Message))

    @endpoint
    def edit(
        self,
        message_id: str,
        *,
        if_match: int | None = None,
        idempotency_key: str | None = None,
        **changes: Unpack[Changes],
    ) -> Call[Accepted]:
        """Change what was not handed over yet; once this returns, the old version is never sent.

        `if_match`: only this revision. Raises TooLate with the state that made it so, RevisionMismatch, NotFound, Refused.
        """
        return Call(
            method="PATCH",
            path=message_path(message_id),
            read=read_one(Accepted),
            content=encoded(message_json(changes)),
            headers={} if if_match is None else {"If-Match": f'"{if_match}"'},
            key=idempotency_key,
        )

    @endpoint
    def cancel(self, message_id: str, *, idempotency_key: str | None = None) -> Call[Cancelled]:
        """Stop every target that was not handed over. Raises TooLate if there is none, NotFound."""
        return Call(
            method="DELETE",
            path=message_path(message_id),
            read=read_one(Cancelled),
            key=idempotency_key,
        )

    @endpoint
    def send_now(self, message_id: str, *, idempotency_key: str | None = None) -> Call[Accepted]:
        """Make it due at once. Raises TooLate, NotFound."""
        return _act(message_id, "send-now", idempotency_key)

    @endpoint
    def erase(self, message_id: str, *, idempotency_key: str | None = None) -> Call[Accepted]:
        """Take the body of a finished message away for good. Raises TooLate, NotFound."""
        return _act(message_id, "erase", idempotency_key)

    @listing
    def list(
        self,
        *,
        order: Literal["asc", "desc"] | None = None,
        bodies: bool | None = None,
        limit: int | None = None,
        **which: Unpack[Which],
    ) -> Pages[Message]:
        """All messages of a kind by due time, `limit` to a page (1,000 at most); from the archive, a moment behind.

        `bodies`: with theirs, as far as the archive keeps them. Raises Unavailable where there is no archive.
        """
        params = query({**which, "order": order, "bodies": bodies, "limit": limit})
        return paged(MESSAGES, params, "messages", Message)

    @overload
    def bulk(
        self: "Messages[Blocking]",
        messages: Iterable[NewMessage],
        *,
        idempotency_key: str | None = None,
        lines: int = LINES_MAX,
    ) -> Iterator[Line]: ...
    @overload
    def bulk(
        self: "Messages[Awaiting]",
        messages: Iterable[NewMessage] | AsyncIterable[NewMessage],
        *,
        idempotency_key: str | None = None,
        lines: int = LINES_MAX,
    ) -> AsyncIterator[Line]: ...
    def bulk(self, messages: Any, *, idempotency_key: str | None = None, lines: int = LINES_MAX) -> Any:
        """Schedule any number; an answer for each, in their order: a refused one stops no other.

        `messages` is read as the answers are, so both may be without end. With messages that have ids, or an
        `idempotency_key` and the same messages in the same order, a repeat makes none twice.
        """
        return self._carrier.bulk(messages, Batches(idempotency_key, lines, BYTES_MAX))

    @endpoint
    def bulk_ndjson(self, content: bytes, *, first_line: int = 1, idempotency_key: str | None = None) -> Call[bytes]:
        """Messages as NDJSON, answered as NDJSON, both as they are: for files. Not more than some thousand lines at once.

        `first_line`: its number in the file, so that answers have the numbers of the file's lines.
        """
        return ndjson_call(content, idempotency_key, first_line, lambda found: found.content)

    @streaming
    def cancel_all(
        self, *, dry_run: bool = False, idempotency_key: str | None = None, **which: Unpack[Filter]
    ) -> Lines[Result]:
        """Cancel all that a filter finds: an exact result for each, as they come. `dry_run`: what would be done."""
        return _by_filter("cancel", which, {"dry_run": dry_run or None}, idempotency_key)

    @streaming
    def reschedule_all(
        self,
        *,
        due_at: Moment | None = None,
        by: Length | None = None,
        allow_past: bool = False,
        dry_run: bool = False,
        idempotency_key: str | None = None,
        **which: Unpack[Filter],
    ) -> Lines[Result]:
        """Move all that a filter finds to `due_at`, or each `by` a length of time: an exact result for each."""
        given = {"due_at": due_at, "by": by, "allow_past": allow_past or None, "dry_run": dry_run or None}
        return _by_filter("reschedule", which, given, idempotency_key)


def _act(message_id: str, act: str, key: str | None) -> Call[Accepted]:
    path = message_path(message_id, act=act)
    return Call(method="POST", path=path, read=read_one(Accepted), key=key)


def _created(found: httpx.Response) -> Accepted:
    return read(Accepted, found.json() | {"repeated": found.status_code == 200})


def _by_filter(act: str, which: Mapping[str, Any], more: Mapping[str, Any], key: str | None) -> Lines[Result]:
    given = {name: value for name, value in {**which, **more}.items() if value is not None}
    call: Call[None] = Call(
        method="POST", path=f"{MESSAGES}/{act}", read=lambda _: None, content=encoded(given), key=key
    )
    return Lines(call, _result)


def _result(line: bytes) -> Result:
    given = json.loads(line)
    problem = given.pop("problem", None)
    error = None if problem is None else problem_error(given["status"], problem)
    return replace(read(Result, {"id": None, **given}), error=error)
