"""`/v1/keys`: API keys, made, listed and revoked by those with the scope admin."""

import secrets
from datetime import datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Request, Response
from msgspec import Meta, Struct

from agents.ports import Clock, LogBrokenError
from gateway.answers import json_response
from gateway.keys import BOOTSTRAP, Caller
from gateway.openapi import Shown, described
from gateway.problems import ProblemError, invalid
from gateway.requests import decoded, read_body
from schemas.api_keys import PREFIX, SECRET_BYTES, new_key
from schemas.message import Input, Instant
from schemas.settings_records import ApiKey, Scope
from schemas.times import at
from schemas.wire import Fault
from topology.settings_table import SettingsTable

logger = structlog.get_logger(__name__)
ID_BYTES = 6


class NewKey(Input, frozen=True, kw_only=True):
    """An API key to make."""

    name: Annotated[str, Meta(min_length=1, max_length=100, description="who uses it, and where")]
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=3)]
    expires_at: Instant | None = None


class KeyView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An API key as people see it: never the key itself."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    ending: str
    created_at: datetime
    expires_at: datetime | None = None


class AddedKey(KeyView, frozen=True, kw_only=True, omit_defaults=True):
    """A key that was just made: `key` is shown here and never again."""

    key: str


class Keys(Struct, frozen=True, kw_only=True):
    """All keys that were made and not revoked, expired ones too, the oldest first."""

    keys: tuple[KeyView, ...]


VIEW = {
    "id": "5f1c0e9ab2d4",
    "name": "ci",
    "scopes": ["read", "write"],
    "ending": "x9Qk",
    "created_at": "2026-11-24T09:12:44.120Z",
}
NEW = {"name": "ci", "scopes": ["read", "write"], "expires_at": "2027-06-30T00:00:00Z"}
ADD = described(
    "admin",
    {201: Shown("made: note the key, it is shown this once", AddedKey, VIEW | {"key": f"{PREFIX}…x9Qk"})},
    (400, 413, 422, 503),
    asked=Shown("the key to make", NewKey, NEW),
)
LIST = described("admin", {200: Shown("all keys", Keys, {"keys": [VIEW]})})
REVOKE = described("admin", {200: Shown("revoked: no gateway takes it after a second", KeyView, VIEW)}, (404, 503))


def keys_router(table: SettingsTable, clock: Clock) -> APIRouter:
    """Make, list and revoke API keys."""
    router = APIRouter(prefix="/v1/keys", tags=["keys"])

    @router.post("", status_code=201, summary="Make an API key", **ADD)
    async def add(request: Request) -> Response:
        """Its holder sends `Authorization: Bearer <key>`. Only a hash is kept: a lost key is replaced, not found."""
        wanted: NewKey = decoded(await read_body(request), NewKey)
        now = at(clock.now_ms())
        if wanted.expires_at is not None and wanted.expires_at <= now:
            raise invalid(Fault("expires_at", "lies in the past", "give a later time, or leave it out"))
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        record = new_key(
            secrets.token_hex(ID_BYTES),
            secret=secret,
            name=wanted.name,
            scopes=wanted.scopes,
            created_at=now,
            expires_at=wanted.expires_at,
        )
        try:
            await table.put(record)
        except LogBrokenError as fault:
            raise _unavailable(fault) from None
        _audit("key_added", record, request)
        return json_response(AddedKey(**_shown(record), key=secret), 201)

    @router.get("", summary="List the API keys", **LIST)
    async def list_keys() -> Response:
        """The key that the gateway was given as CLEPSYDRA_API_KEY is not among them."""
        found = sorted(table.all(ApiKey).values(), key=lambda record: (record.created_at, record.key))
        return json_response(Keys(keys=tuple(KeyView(**_shown(record)) for record in found)))

    @router.delete("/{key_id}", summary="Revoke an API key", **REVOKE)
    async def revoke(request: Request, key_id: Annotated[str, Path(description="the key's id")]) -> Response:
        """Requests under way with it are still answered."""
        record = table.get(ApiKey, key_id)
        if record is None:
            raise _no_such(key_id)
        try:
            await table.remove(ApiKey, key_id)
        except LogBrokenError as fault:
            raise _unavailable(fault) from None
        _audit("key_revoked", record, request)
        return json_response(KeyView(**_shown(record)))

    return router


def _shown(record: ApiKey) -> dict[str, Any]:
    same = ("name", "scopes", "ending", "created_at", "expires_at")
    return {"id": record.key} | {name: getattr(record, name) for name in same}


def _audit(event: str, record: ApiKey, request: Request) -> None:
    caller: Caller = request.state.caller
    logger.info(event, key=record.key, name=record.name, scopes=record.scopes, by=caller.name)


def _no_such(key_id: str) -> ProblemError:
    detail = f"there is no key {key_id!r}: `clepsydra keys list` shows their ids"
    if key_id == BOOTSTRAP:
        detail = f"{BOOTSTRAP} is a setting: start the gateway without it, or with another"
    return ProblemError(404, "not_found", "No such API key", detail)


def _unavailable(fault: LogBrokenError) -> ProblemError:
    detail = f"it may or may not have been written ({fault}): look with `clepsydra keys list`, then send it again"
    return ProblemError(503, "unavailable", "Not now", detail, headers={"Retry-After": "1"})
