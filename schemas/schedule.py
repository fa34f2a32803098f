"""A schedule's definition: when, what, and what becomes of runs that were missed or would overlap (DESIGN section 7)."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Raw, field
from msgspec.structs import force_setattr

from schemas.message import (
    NO_BODY,
    Address,
    Channel,
    Content,
    Headers,
    Input,
    Message,
    Name,
    OnFinished,
    Priority,
    Retry,
    Tags,
    Target,
    check,
)
from schemas.occurrence import OccurrenceOf
from schemas.recurrence import Timing
from schemas.recurrence_check import check_timing
from schemas.times import EPOCH

CATCH_UP_MAX = timedelta(days=366)


class Missed(StrEnum):
    """What becomes of runs whose time passed while no scheduler ran, or while the schedule was paused."""

    SKIP = "skip"  # none is made up for
    LATEST = "latest"  # the latest runs, if it is within `catch_up`
    ALL = "all"  # those within `catch_up` run, in order


class Overlap(StrEnum):
    """Whether a run begins while a former one is not finished."""

    ALLOW = "allow"
    SKIP = "skip"


class Template(Input, frozen=True, kw_only=True):
    """A message without id and due time; `expires_after`: so long after the due time it is not sent any more."""

    channel: Channel | None = None
    to: Address = ""
    body: Raw = NO_BODY
    body_base64: str | None = None
    content_type: Annotated[str, Meta(max_length=200, pattern=r"^[^\r\n\x00]*$")] | None = None
    headers: Headers = field(default_factory=dict)
    account: Name | None = None
    flow: Name | None = None
    priority: Priority = 5
    expires_after: Annotated[timedelta, Meta(description="ISO 8601 duration, as PT1H")] | None = None
    retry: Retry | None = None
    targets: Annotated[tuple[Target, ...], Meta(max_length=100)] = ()
    tags: Tags = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    on_finished: OnFinished | None = None


class Definition(Timing, frozen=True, kw_only=True):
    """What a schedule does, as it lies in `schedules`: checked when it was accepted."""

    message: Template
    missed: Missed = Missed.LATEST
    catch_up: Annotated[timedelta, Meta(description="how late a missed run may still begin")] = timedelta(hours=12)
    overlap: Overlap = Overlap.ALLOW
    note: Annotated[str, Meta(max_length=1000)] = ""


COPIED = tuple(name for name in Template.__struct_fields__ if name != "expires_after")


def message_of(template: Template, message_id: str, due_at: datetime, occurrence: OccurrenceOf | None) -> Content:
    """The message of one run."""
    return Content(**_fields(template, message_id, due_at), occurrence=occurrence)


def _fields(template: Template, message_id: str, due_at: datetime) -> dict[str, Any]:
    expires = None if template.expires_after is None else due_at + template.expires_after
    same = {name: getattr(template, name) for name in COPIED}
    return same | {"id": message_id, "due_at": due_at, "expires_at": expires}


def check_definition(definition: Definition) -> None:
    """Raises ValueError, naming the field; brings the body into the form that is kept."""
    check_timing(definition)
    if not timedelta(0) <= definition.catch_up <= CATCH_UP_MAX:
        raise ValueError("`catch_up` is not between 0 s and 366 days: correct it")
    template = definition.message
    if template.expires_after is not None and not timedelta(0) < template.expires_after <= CATCH_UP_MAX:
        raise ValueError("`message.expires_after` is not between 1 s and 366 days: correct it")
    try:
        message = Message(**_fields(template, "x", EPOCH))
        check(message)
    except ValueError as fault:
        text = str(fault)
        raise ValueError(f"`message.{text[1:]}" if text.startswith("`") else f"`message` {text}") from None
    force_setattr(template, "body", message.body)


class NewDefinition(Definition, frozen=True, kw_only=True):
    """A definition that is asked for. Raises ValueError, naming the field."""

    def __post_init__(self) -> None:
        check_definition(self)

    def accepted(self) -> Definition:
        """As it is kept."""
        return Definition(**{name: getattr(self, name) for name in Definition.__struct_fields__})
