"""What the API says of itself: schemas come from the records that decode the requests."""

from typing import Any, get_type_hints

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from msgspec import NODEFAULT, UNSET, Raw, Struct

from gateway.answers import Accepted, Cancelled, MessageView
from gateway.problems import PROBLEM_TYPE, ProblemDetails
from gateway.requests import NewContent, NewMessage

REF = "#/components/schemas/{name}"

NEW_EXAMPLE = {
    "due_at": "2026-11-24T08:00:00+01:00",
    "channel": "webhook",
    "to": "https://example.com/hooks/post",
    "body": {"text": "Good morning"},
    "account": "acme",
}
CHANGES_EXAMPLE = {"due_at": "2026-11-24T09:30:00+01:00"}

FAULTS = {
    400: "not JSON",
    401: "the API key is missing or wrong",
    404: "no such message",
    409: "`too_late`, with the state that made it so; or `conflict`: the id is taken by other content",
    412: "If-Match names another revision",
    413: "the request is larger than 1 MiB",
    422: "a field is not valid: `errors` names it, with the remedy",
    503: "it was not written, send it again",
    504: "`answer_unknown`: repeat it with the same Idempotency-Key",
}


def _ref(record: type[Struct]) -> dict[str, str]:
    return {"$ref": REF.format(name=record.__name__)}


def _responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {PROBLEM_TYPE: {"schema": _ref(ProblemDetails)}}
    return {status: {"description": FAULTS[status], "content": content} for status in statuses}


def _given(record: type[Struct], said: str) -> dict[str, Any]:
    return {"description": said, "content": {"application/json": {"schema": _ref(record)}}}


def _asked(record: type[Struct], example: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": _ref(record), "example": example}}
    return {"requestBody": {"required": True, "content": content}}


CREATE: dict[str, Any] = {
    "openapi_extra": _asked(NewMessage, NEW_EXAMPLE),
    "responses": {201: _given(Accepted, "scheduled"), 200: _given(Accepted, "it was scheduled before")}
    | _responses(400, 401, 409, 413, 422, 503, 504),
}
LOOK: dict[str, Any] = {"responses": {200: _given(MessageView, "found")} | _responses(401, 404, 503, 504)}
EDIT: dict[str, Any] = {
    "openapi_extra": _asked(NewContent, CHANGES_EXAMPLE),
    "responses": {200: _given(Accepted, "changed")} | _responses(400, 401, 404, 409, 412, 413, 422, 503, 504),
}
DELETE: dict[str, Any] = {
    "responses": {200: _given(Cancelled, "cancelled, now or before")} | _responses(401, 404, 409, 503, 504)
}


def describe(app: FastAPI) -> None:
    """Gives the app an `openapi()` with our records in it."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    records = [
        _showable(record) for record in (NewMessage, NewContent, Accepted, Cancelled, MessageView, ProblemDetails)
    ]
    _, components = msgspec.json.schema_components(records, ref_template=REF)
    document["components"] = {
        "schemas": components,
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "the API key"}},
    }
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if path.startswith("/v1/"):
                operation["security"] = [{"key": []}]
                _only_documented(operation)
    return document


def _only_documented(operation: dict[str, Any]) -> None:
    """FastAPI adds a 422 of its own shape; ours, where there is one, is a problem."""
    answer = operation["responses"].get("422", {})
    if PROBLEM_TYPE not in answer.get("content", {}):
        operation["responses"].pop("422", None)


def _showable(record: type[Struct]) -> type[Struct]:
    """The record with `Any` in place of raw JSON, whose default msgspec cannot show."""
    hints = get_type_hints(record, include_extras=True)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(record):
        raw = Raw in getattr(hints[field.name], "__args__", (hints[field.name],))
        kind = Any if raw else hints[field.name]
        if raw:
            fields.append((field.name, kind, UNSET))
        elif field.required:
            fields.append((field.name, kind))
        elif field.default_factory is not NODEFAULT:
            fields.append((field.name, kind, field.default_factory()))
        else:
            fields.append((field.name, kind, field.default))
    shown = msgspec.defstruct(record.__name__, fields, kw_only=True)
    shown.__doc__ = record.__doc__
    return shown
