"""What an owner answered about a schedule, as HTTP says it."""

from datetime import datetime
from typing import Any

from fastapi import Response
from msgspec import Struct

from gateway.answers import json_response
from gateway.problems import ProblemError, invalid
from gateway.requests import field_fault
from schemas.commands import Answer
from schemas.schedule_commands import ScheduleView, Upcoming
from schemas.schedule_rows import Past


class Changed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule as it now stands; `runs`: how many a backfill has made."""

    id: str
    state: str
    revision: int
    next_due_at: datetime | None = None
    runs: int | None = None


class Triggered(Struct, frozen=True, kw_only=True):
    """The run that was made: a message, to be looked at as any other."""

    id: str
    occurrence: str


class Occurrences(Struct, frozen=True, kw_only=True):
    """What happened to its runs, the newest last, and the next ones."""

    id: str
    history: tuple[Past, ...]
    upcoming: tuple[Upcoming, ...]


def accepted(answer: Answer) -> Answer:
    """The answer. Raises ProblemError where it is a refusal."""
    if answer.result in ("accepted", "found"):
        return answer
    more: dict[str, Any] = {"id": answer.id, "revision": answer.revision or None}
    match answer.result:
        case "refused":
            raise invalid(field_fault(answer.detail))
        case "conflict":
            raise ProblemError(409, "conflict", "The id is taken by another definition", answer.detail, **more)
        case "revision_mismatch":
            detail = f"{answer.detail}: read it again and decide on what it is now"
            raise ProblemError(412, "revision_mismatch", "It was changed meanwhile", detail, **more)
        case _:
            detail = f"there is no schedule {answer.id!r}: it never was, or it was removed"
            raise ProblemError(404, "not_found", "No such schedule", detail, id=answer.id)


def changed_response(answer: Answer, status: int = 200, *, runs: int | None = None) -> Response:
    """How it now stands. Raises ProblemError."""
    view = accepted(answer).schedule
    shown = Changed(
        id=answer.id,
        state="" if view is None else view.state,
        revision=answer.revision,
        next_due_at=None if view is None else view.next_due_at,
        runs=runs,
    )
    return json_response(shown, status, {"ETag": f'"{answer.revision}"'})


def triggered_response(answer: Answer) -> Response:
    """201 with the run's id. Raises ProblemError."""
    return json_response(Triggered(id=answer.id, occurrence=accepted(answer).detail), 201)


def view_of(answer: Answer) -> ScheduleView:
    """What was looked at. Raises ProblemError."""
    view = accepted(answer).schedule
    assert view is not None
    return view


def looked(answer: Answer) -> Response:
    """200. Raises ProblemError."""
    return json_response(view_of(answer), headers={"ETag": f'"{answer.revision}"'})


def occurrences_response(answer: Answer) -> Response:
    """200. Raises ProblemError."""
    view = view_of(answer)
    return json_response(Occurrences(id=view.id, history=view.history, upcoming=view.upcoming))
