"""Who may use the API, and for what: each route says which scope it needs."""

from datetime import datetime
from typing import Any, NamedTuple

from fastapi import Depends, Request
from pydantic import SecretStr

from agents.ports import Clock
from gateway.errors import UserError
from gateway.problems import ProblemError
from gateway.rates import Rates
from schemas.api_keys import allows, digest
from schemas.settings_records import ApiKey, Scope
from schemas.times import EPOCH, at
from topology.settings_table import SettingsTable

BOOTSTRAP = "CLEPSYDRA_API_KEY"


class ApiKeyMissingError(UserError):
    """There is no API key at all: the gateway would be open to all, or to nobody."""

    def __init__(self) -> None:
        super().__init__(
            "CLEPSYDRA_API_KEY is not set, and no other key was made: nobody could use the API. "
            'Set one, for example export CLEPSYDRA_API_KEY="$(openssl rand -hex 16)"'
        )


class Caller(NamedTuple):
    """Who sends a request: the key's id, the name it was given, its scopes."""

    key: str
    name: str
    scopes: tuple[Scope, ...]


class KeyRing:
    """The keys that are good now. What is added or revoked on one gateway is known to all within a second."""

    def __init__(self, bootstrap: SecretStr | None, table: SettingsTable, clock: Clock) -> None:
        """Raises ApiKeyMissingError where there is no key at all."""
        self._clock = clock
        self._digests: dict[str, str] = {}
        self._by_digest: dict[str, ApiKey] = {}
        if bootstrap is not None:
            self._take(BOOTSTRAP, _bootstrap_key(bootstrap.get_secret_value()))
        table.on_change(ApiKey, self._take)
        if not self._by_digest:
            raise ApiKeyMissingError

    def caller(self, authorization: str | None, wanted: Scope) -> Caller:
        """Who it is. Raises ProblemError: 401 for no good key, 403 for one without the scope."""
        known = self._known(authorization)
        if not allows(known.scopes, wanted):
            raise _forbidden(known, wanted)
        return Caller(known.key, known.name, known.scopes)

    def _take(self, key: str, record: ApiKey | None) -> None:
        self._by_digest.pop(self._digests.pop(key, ""), None)
        if record is not None:
            self._digests[key] = record.sha256
            self._by_digest[record.sha256] = record

    def _known(self, authorization: str | None) -> ApiKey:
        if authorization is None:
            raise _unauthorized("the API key is missing")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise _unauthorized("`Authorization` does not begin with `Bearer`")
        known = self._by_digest.get(digest(token.strip()))
        if known is None:
            raise _unauthorized("the API key is wrong, or was revoked")
        if known.expired(self._now()):
            raise _unauthorized(f"the API key {known.name!r} was good until {known.expires_at}")
        return known

    def _now(self) -> datetime:
        return at(self._clock.now_ms())


def _bootstrap_key(secret: str) -> ApiKey:
    return ApiKey(key=BOOTSTRAP, name=BOOTSTRAP, scopes=("admin",), sha256=digest(secret), ending="", created_at=EPOCH)


def _unauthorized(problem: str) -> ProblemError:
    remedy = (
        "send `Authorization: Bearer <key>` with a key that `clepsydra keys add` made, "
        "or with the one that the gateway was given as CLEPSYDRA_API_KEY"
    )
    return ProblemError(
        401, "unauthorized", "Not authorized", f"{problem}: {remedy}", headers={"WWW-Authenticate": "Bearer"}
    )


def _forbidden(known: ApiKey, wanted: Scope) -> ProblemError:
    detail = (
        f"this needs the scope {wanted}, and the API key {known.name!r} (…{known.ending}) has {', '.join(known.scopes)}: "
        f"use another key, or make one with `clepsydra keys add NAME --scope {wanted}`"
    )
    headers = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{wanted}"'}
    return ProblemError(403, "forbidden", "The API key may not do this", detail, headers=headers)


class Gate:
    """What every request under /v1 passes: who it is, whether they may, and not too often."""

    def __init__(self, ring: KeyRing, rates: Rates, clock: Clock) -> None:
        self._ring = ring
        self._rates = rates
        self._clock = clock

    def pass_in(self, request: Request, wanted: Scope) -> None:
        """Sets `request.state.caller` and `.allowance`. Raises ProblemError 401, 403, 429."""
        caller = self._ring.caller(request.headers.get("authorization"), wanted)
        request.state.caller = caller
        request.state.allowance = self._rates.take(caller.key, self._clock.now_ms() * 1_000)


def needs(scope: Scope) -> Any:
    """A route's dependency: see Gate."""

    async def check(request: Request) -> None:
        gate: Gate = request.app.state.gate
        gate.pass_in(request, scope)

    return Depends(check)
