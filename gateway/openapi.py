"""What the API says of itself: schemas come from the records that decode the requests and make the answers."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from msgspec import Struct

from gateway.keys import needs
from gateway.problems import PROBLEM_TYPE, TYPE_PREFIX, ProblemDetails
from schemas.settings_records import Scope
from schemas.shown import shown

REF = "#/components/schemas/{name}"
RECORDS = "x-records"
"""Where a route's own schemas lie until the document is made."""
JSON = "application/json"
NDJSON = "application/x-ndjson"


class Shown(NamedTuple):
    """A request's or response's content; of NDJSON, `record` is one line."""

    said: str
    record: type[Struct]
    example: Any
    media: str = JSON


class Refusal(NamedTuple):
    """A problem as the document tells it."""

    said: str
    name: str
    title: str
    detail: str


FAULTS = {
    400: Refusal("not JSON", "not_json", "The body is not JSON", "the body is not JSON: send a JSON object"),
    401: Refusal(
        "the API key is missing, wrong, revoked or expired", "unauthorized", "Not authorized", "the API key is missing"
    ),
    403: Refusal(
        "the API key lacks the scope", "forbidden", "The API key may not do this", "this needs the scope write"
    ),
    404: Refusal("no such thing", "not_found", "No such message", "there is no message 'post-4711'"),
    409: Refusal(
        "`too_late` or `wrong_state`, with the state that made it so; or `conflict`: the id is taken by other content",
        "too_late",
        "Too late to change it",
        "it was handed to the couriers",
    ),
    412: Refusal(
        "If-Match names another revision",
        "revision_mismatch",
        "It was changed meanwhile",
        "the revision is 2: read it again and decide on what it is now",
    ),
    413: Refusal("the request is too large", "too_large", "The request is too large", "it has 2097152 bytes"),
    415: Refusal(
        "the encoding is not known",
        "unsupported_encoding",
        "The encoding is not known",
        "Content-Encoding 'br' is not known here: send the lines as they are, or as gzip",
    ),
    422: Refusal(
        "a field is not valid: `errors` names it, with the remedy",
        "invalid",
        "The request is not valid",
        "due_at: is 3600 s in the past (correct it, or set `allow_past`)",
    ),
    429: Refusal(
        "the API key asks too often: `Retry-After` says when to come again, `RateLimit` what is left",
        "too_many_requests",
        "Too many requests",
        "this API key has asked 4000 times and more in 2 s: send it again in 0.012 s",
    ),
    503: Refusal("it was not done, send it again", "unavailable", "Not now", "it was not written: send it again later"),
    504: Refusal(
        "`answer_unknown`: repeat it with the same Idempotency-Key",
        "answer_unknown",
        "The answer is unknown",
        "no answer came within 10 s: repeat it with the same key",
    ),
}


def described(
    scope: Scope,
    given: dict[int, Shown],
    faults: Iterable[int] = (),
    *,
    asked: Shown | None = None,
    optional: bool = False,
) -> dict[str, Any]:
    """What a route under /v1 declares: who may use it, what it takes, what it answers.

    Use: `@router.post("", summary="…", **described("write", {201: Shown(…)}, (409, 422), asked=Shown(…)))`.
    401, 403 and 429 need not be named; `optional`: a request without a body will do.
    """
    told = [*given.values(), *([asked] if asked else [])]
    extra: dict[str, Any] = {
        "security": [{"key": [scope]}],
        RECORDS: _schemas({one.record for one in told} | {ProblemDetails}),
    }
    if asked is not None:
        extra["requestBody"] = {"required": not optional, "description": asked.said, "content": _content(asked)}
    responses = {status: {"description": one.said, "content": _content(one)} for status, one in given.items()}
    return {
        "dependencies": [needs(scope)],
        "openapi_extra": extra,
        "responses": responses | {status: _fault(status) for status in sorted({401, 403, 429, *faults})},
    }


def _content(shown: Shown) -> dict[str, Any]:
    return {shown.media: {"schema": _ref(shown.record), "example": shown.example}}


def _fault(status: int) -> dict[str, Any]:
    said, name, title, detail = FAULTS[status]
    example = {"type": TYPE_PREFIX + name, "title": title, "status": status, "detail": detail}
    return {"description": said, "content": {PROBLEM_TYPE: {"schema": _ref(ProblemDetails), "example": example}}}


def _ref(record: type[Struct]) -> dict[str, str]:
    return {"$ref": REF.format(name=record.__name__)}


def _schemas(records: set[type[Struct]]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components([shown(record) for record in records], ref_template=REF)
    return components


def describe(app: FastAPI) -> None:
    """Gives the app an `openapi()` with our records in it."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        tags=app.openapi_tags,
        routes=app.routes,
    )
    schemas: dict[str, Any] = {}
    for methods in document["paths"].values():
        for operation in methods.values():
            schemas |= operation.pop(RECORDS, {})
            _only_documented(operation)
    key = {"type": "http", "scheme": "bearer", "description": "an API key with the scope that the operation names"}
    document["components"] = {"schemas": dict(sorted(schemas.items())), "securitySchemes": {"key": key}}
    return document


def _only_documented(operation: dict[str, Any]) -> None:
    """FastAPI adds a 422 of its own shape, and a 200 of no shape where another status or lines are answered."""
    answer = operation["responses"].get("422", {})
    if PROBLEM_TYPE not in answer.get("content", {}):
        operation["responses"].pop("422", None)
    for status, answer in list(operation["responses"].items()):
        if answer.get("content", {}).get(JSON) == {"schema": {}}:
            answer["content"].pop(JSON)
            if not answer["content"]:
                operation["responses"].pop(status)
