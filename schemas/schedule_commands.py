"""What people ask of a schedule's owner."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

from schemas.ids import ID_MAX
from schemas.message import Instant
from schemas.schedule import Definition, NewDefinition
from schemas.schedule_rows import ExceptionTo, Past, Paused, ScheduleRow
from schemas.versions import version

ScheduleId = Annotated[str, Meta(min_length=1, max_length=ID_MAX, description="the schedule's id")]
LIST_MAX = 100


class _Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind"):
    v: int = version()
    command_id: Annotated[
        str, Meta(min_length=1, max_length=300, description="the same for every repeat of one request")
    ]
    reply_to: Annotated[int, Meta(ge=0, description="the partition of `answers` to answer into")] | None = None
    id: ScheduleId


class SchedulePut(_Command, frozen=True, kw_only=True, tag="schedule_put"):
    """Make a schedule; the same id and definition again changes nothing."""

    definition: NewDefinition


class ScheduleEdit(_Command, frozen=True, kw_only=True, tag="schedule_edit"):
    """Change members of a definition; what is not emitted yet is replaced. Null takes a member away."""

    changes: dict[str, Raw]
    if_revision: int | None = None


class ScheduleRemove(_Command, frozen=True, kw_only=True, tag="schedule_remove"):
    """Stop it for good; what is not emitted yet is cancelled."""


class SchedulePause(_Command, frozen=True, kw_only=True, tag="schedule_pause"):
    """Make no more runs; those not emitted yet are taken back."""

    note: Annotated[str, Meta(max_length=1000)] = ""


class ScheduleResume(_Command, frozen=True, kw_only=True, tag="schedule_resume"):
    """Go on; what was missed meanwhile is treated as after an outage."""


class ScheduleTrigger(_Command, frozen=True, kw_only=True, tag="schedule_trigger"):
    """Run once, now, whatever else is planned."""


class ScheduleBackfill(_Command, frozen=True, kw_only=True, tag="schedule_backfill"):
    """Run now what never ran of a past period."""

    since: Instant
    until: Instant


class ScheduleLook(_Command, frozen=True, kw_only=True, tag="schedule_look"):
    """Tell what is known of a schedule."""


class ScheduleList(_Command, frozen=True, kw_only=True, tag="schedule_list"):
    """Tell of the schedules of one partition, that of `id`, in the order of ids."""

    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=LIST_MAX)] = LIST_MAX


ScheduleChange = (
    SchedulePut | ScheduleEdit | ScheduleRemove | SchedulePause | ScheduleResume | ScheduleTrigger | ScheduleBackfill
)
ScheduleCommand = ScheduleChange | ScheduleLook | ScheduleList


class Upcoming(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run to come: made already, where it has an id that can be looked at."""

    id: str
    nominal: datetime
    due_at: datetime
    made: bool = False
    exception: str = ""


class ScheduleView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that its owner knows of a schedule; in a list without definition, exceptions and history."""

    id: str
    state: str
    revision: int
    recurrence: Any
    timezone: str
    note: str = ""
    paused: Paused | None = None
    through: datetime
    next_due_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    definition: Definition | None = None
    exceptions: dict[str, ExceptionTo] = {}
    upcoming: tuple[Upcoming, ...] = ()
    history: tuple[Past, ...] = ()


def summary(row: ScheduleRow, **more: Any) -> ScheduleView:
    """A schedule in a list."""
    return ScheduleView(
        id=row.id,
        state=row.state,
        revision=row.revision,
        recurrence=row.definition.recurrence,
        timezone=row.definition.timezone,
        note=row.definition.note,
        paused=row.paused,
        through=row.through,
        created_at=row.created_at,
        updated_at=row.updated_at,
        **more,
    )
