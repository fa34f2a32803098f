"""Errors as RFC 9457 problem details: what, why, and the remedy for each field."""

from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from msgspec import Struct
from starlette.exceptions import HTTPException

from schemas.wire import Fault

PROBLEM_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:clepsydra:problem:"


class ProblemDetails(Struct, kw_only=True, omit_defaults=True):
    """RFC 9457. `type` ends in a name that does not change; `errors` has one entry per fault."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: list[Fault] = []
    id: str | None = None
    state: str | None = None
    revision: int | None = None
    command_id: str | None = None


class ProblemError(Exception):
    """An answer that is a problem; `more` are further members of it."""

    def __init__(
        self,
        status: int,
        name: str,
        title: str,
        detail: str = "",
        *,
        errors: tuple[Fault, ...] = (),
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.headers = headers
        self.details = ProblemDetails(
            type=TYPE_PREFIX + name, title=title, status=status, detail=detail, errors=list(errors), **more
        )


def invalid(*faults: Fault) -> ProblemError:
    """422: the request was understood, and some of its values cannot be used."""
    return ProblemError(422, "invalid", "The request is not valid", str(faults[0]), errors=faults)


def problem_response(problem: ProblemError) -> Response:
    """The response of a problem."""
    content = msgspec.json.encode(problem.details)
    return Response(content, problem.status, headers=problem.headers, media_type=PROBLEM_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """Every error of the app is told as a problem, those of the framework too."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(RequestValidationError, _parameter)
    app.add_exception_handler(Exception, _bug)


async def _problem(_request: Request, fault: Exception) -> Response:
    assert isinstance(fault, ProblemError)
    return problem_response(fault)


async def _framework(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)
    status = HTTPStatus(fault.status_code)
    detail = f"{request.method} {request.url.path}: see /docs or /openapi.json for what there is"
    name = status.name.lower()
    headers = dict(fault.headers or {})
    return problem_response(ProblemError(status.value, name, status.phrase, detail, headers=headers))


async def _parameter(_request: Request, fault: Exception) -> Response:
    """A parameter that FastAPI itself has read: in the query, the path or a header."""
    assert isinstance(fault, RequestValidationError)
    faults = (Fault(str(one["loc"][-1]), f"{one['msg']}", "correct it, see /docs") for one in fault.errors())
    return problem_response(invalid(*faults))


async def _bug(_request: Request, _fault: Exception) -> Response:
    detail = "a fault of the gateway, its log says more; with an Idempotency-Key the request can be repeated"
    return problem_response(ProblemError(500, "internal", "Internal error", detail))
