"""What comes in about schedules, as records."""

from typing import Annotated

from msgspec import Meta, field

from schemas.message import Input, Instant
from schemas.schedule import NewDefinition


class NewSchedule(NewDefinition, frozen=True, kw_only=True):
    """A schedule to make. Without `id` it gets one: of the Idempotency-Key, else a random one."""

    id: str | None = None

    def definition(self) -> NewDefinition:
        """Without the id."""
        return NewDefinition(**{name: getattr(self, name) for name in NewDefinition.__struct_fields__})


class Pause(Input, frozen=True, kw_only=True):
    """Why it is paused."""

    note: Annotated[str, Meta(max_length=1000)] = ""


class Backfill(Input, frozen=True, kw_only=True):
    """A past period, both ends included."""

    from_: Instant = field(name="from")
    to: Instant
