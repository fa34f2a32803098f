"""`GET /v1/messages` and `/v1/dead-letters`: pages out of the archive. Without it they answer 503, and nothing else does."""

from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Query, Request, Response
from msgspec import UNSET, Raw, Struct

from gateway.answers import json_response
from gateway.message_docs import VIEW
from gateway.openapi import Shown, described
from gateway.problems import ProblemError
from gateway.queries import (
    HELD_STATES,
    LETTER_FILTERS,
    LIMIT,
    LIMIT_MAX,
    LISTED_STATES,
    MESSAGE_FILTERS,
    check_names,
    next_cursor,
    read_cursor,
    read_filter,
    read_flag,
    read_limit,
    read_order,
)
from schemas.message import Content
from topology.archive import Archive, LetterKey, MessageKey
from topology.archive_errors import ArchiveAwayError, ArchiveMissingError

T = TypeVar("T")


class Listed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message as the archive has it; `body` only where `bodies=true` asked for it, and the archive keeps bodies."""

    id: str
    state: str | None
    due_at: datetime
    revision: int
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None
    channel: str | None = None
    to: str = ""
    targets: Any = ()
    body: Any = UNSET
    body_base64: str | None = None
    content_type: str | None = None
    headers: dict[str, str] = {}
    account: str | None = None
    flow: str | None = None
    priority: int | None = None
    expires_at: datetime | None = None
    retry: Any = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    on_finished: Any = None
    erased: bool = False


class MessagePage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Messages in order of due time. `as_of`: the archive knows all that had happened by then. No `cursor`: the end."""

    messages: list[Listed]
    as_of: datetime | None
    cursor: str | None = None


class Letter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A delivery that is given up (`dead`) or in doubt (`unknown`): it waits for a person."""

    id: str
    target: int
    state: str
    channel: str
    to: str = ""
    account: str | None = None
    attempts: int
    due_at: datetime | None = None
    last_attempt_at: datetime | None = None
    held_since: datetime
    maybe_sent: bool = False
    reason: str = ""
    last_response: Any = None


class LetterPage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Dead letters, the oldest first."""

    dead_letters: list[Letter]
    as_of: datetime | None
    cursor: str | None = None


CURSOR = "WyJhNWM2IixbIjIwMjctMDEtMDRUMDc6MDA6MDBaIiwicG9zdC00NzExIiwxMl1d"
LISTED = {
    name: VIEW[name] for name in ("id", "state", "due_at", "revision", "created_at", "updated_at", "channel", "to")
}
LETTER = {
    "id": "post-4711",
    "target": 0,
    "state": "dead",
    "channel": "webhook",
    "to": "https://example.com/hooks/post",
    "attempts": 10,
    "held_since": "2027-01-07T11:00:00Z",
    "reason": "answered 500",
}
SHOWN = tuple(
    name
    for name in Content.__struct_fields__
    if name in Listed.__struct_fields__ and name not in ("id", "due_at", "body", "body_base64")
)
FAULTS = (422, 503)
LIST = described(
    "read",
    {200: Shown("a page", MessagePage, {"messages": [LISTED], "as_of": VIEW["as_of"], "cursor": CURSOR})},
    FAULTS,
)
LETTERS = described(
    "read", {200: Shown("a page", LetterPage, {"dead_letters": [LETTER], "as_of": VIEW["as_of"]})}, FAULTS
)

State = Annotated[str | None, Query(alias="state", description=f"some of {', '.join(LISTED_STATES)}, with commas")]
Held = Annotated[str | None, Query(alias="state", description="dead or unknown; both without it")]
Account = Annotated[str | None, Query(alias="account", description="exactly this")]
Tag = Annotated[str | None, Query(alias="tag", description="one of its tags")]
Channel = Annotated[str | None, Query(alias="channel", description="of one of its targets")]
Prefix = Annotated[str | None, Query(alias="q", description="ids that begin so")]
From = Annotated[str | None, Query(alias="due_from", description="due at or after, RFC 3339")]
To = Annotated[str | None, Query(alias="due_to", description="due before, RFC 3339")]
Limit = Annotated[str, Query(alias="limit", description=f"of a page, 1 to {LIMIT_MAX}; {LIMIT} without it")]
Order = Annotated[str, Query(alias="order", description="asc: the earliest due first; desc")]
Bodies = Annotated[str, Query(alias="bodies", description="true: with bodies, as far as the archive keeps them")]
Cursor = Annotated[str | None, Query(alias="cursor", description="of the page before, with the same filters")]


def lists_router(archive: Archive) -> APIRouter:
    """Lists of messages and of dead letters."""
    router = APIRouter(prefix="/v1")

    @router.get("/messages", tags=["messages"], summary="List and search messages", **LIST)
    async def messages(
        request: Request,
        _state: State = None,
        _account: Account = None,
        _tag: Tag = None,
        _channel: Channel = None,
        _due_from: From = None,
        _due_to: To = None,
        _q: Prefix = None,
        _order: Order = "asc",
        _bodies: Bodies = "false",
        _limit: Limit = str(LIMIT),
        _cursor: Cursor = None,
    ) -> Response:
        """From the archive, a moment behind: `as_of`. Pages are stable: what comes in meanwhile moves nothing else."""
        given = check_names(request, (*MESSAGE_FILTERS, "order", "bodies", "limit", "cursor"))
        limit, bodies = read_limit(given), read_flag(given, "bodies")
        after = read_cursor(given, MessageKey)
        page = await asked(archive.messages(read_filter(given), after=after, limit=limit, order=read_order(given)))
        cursor = None
        if len(page.rows) == limit:
            last = page.rows[-1]
            cursor = next_cursor(MessageKey(last["due_at"], last["id"], last["birth"]), given)
        found = [listed(row, bodies=bodies) for row in page.rows]
        return json_response(MessagePage(messages=found, as_of=page.as_of, cursor=cursor))

    @router.get("/dead-letters", tags=["dead letters"], summary="List what was given up or is in doubt", **LETTERS)
    async def dead_letters(
        request: Request,
        _state: Held = None,
        _account: Account = None,
        _channel: Channel = None,
        _limit: Limit = str(LIMIT),
        _cursor: Cursor = None,
    ) -> Response:
        """What a person can retry, discard or mark as sent, the oldest first; from the archive, as of `as_of`."""
        given = check_names(request, (*LETTER_FILTERS, "limit", "cursor"))
        limit = read_limit(given)
        after = read_cursor(given, LetterKey)
        page = await asked(archive.dead_letters(read_filter(given, HELD_STATES), after=after, limit=limit))
        cursor = None
        if len(page.rows) == limit:
            last = page.rows[-1]
            cursor = next_cursor(LetterKey(last["updated_at"], last["id"], last["birth"], last["target"]), given)
        found = [letter(row) for row in page.rows]
        return json_response(LetterPage(dead_letters=found, as_of=page.as_of, cursor=cursor))

    return router


async def asked(answer: Awaitable[T]) -> T:
    """What the archive says. Raises ProblemError 503 while it is away."""
    try:
        return await answer
    except ArchiveAwayError as away:
        raise archive_problem(away) from None


def archive_problem(away: ArchiveAwayError) -> ProblemError:
    """503 `archive_unavailable`: lists need the archive; sending, editing and looking at one message do not."""
    detail = f"lists come from the archive, and {away.why}: {away.remedy}; messages are sent all the same"
    later = {} if isinstance(away, ArchiveMissingError) else {"Retry-After": "5"}
    return ProblemError(503, "archive_unavailable", "The archive is not available", detail, headers=later)


def listed(row: Mapping[str, Any], *, bodies: bool) -> Listed:
    """A row as people read it."""
    known = row["message"]
    content = None if known is None else msgspec.json.decode(known, type=Content)
    shown = {} if content is None else {name: getattr(content, name) for name in SHOWN}
    if bodies:
        shown |= {"body": Raw(row["body"].encode()) if row["body"] else UNSET, "body_base64": row["body_base64"]}
    if content is None:
        shown |= {"account": row["account"], "flow": row["flow"], "priority": row["priority"]}
        shown |= {"tags": tuple(row["tags"] or ())}
    same = ("id", "state", "due_at", "revision", "created_at", "updated_at", "finished_at", "erased")
    return Listed(**{name: row[name] for name in same}, **shown)


def letter(row: Mapping[str, Any]) -> Letter:
    """A dead letter as people read it."""
    known = row["message"]
    aims = () if known is None else msgspec.json.decode(known, type=Content).aims()
    said = row["response"]
    return Letter(
        id=row["id"],
        target=row["target"],
        state=row["state"],
        channel=row["channel"],
        to=aims[row["target"]].to if row["target"] < len(aims) else "",
        account=row["account"],
        attempts=row["attempts"],
        due_at=row["due_at"],
        last_attempt_at=row["started_at"],
        held_since=row["updated_at"],
        maybe_sent=row["maybe_sent"],
        reason=row["reason"],
        last_response=None if said is None else Raw(said.encode()),
    )
