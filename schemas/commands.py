"""What people ask of a message's owner, and what it answers."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from schemas.lifecycle import DeliveryState, MessageState
from schemas.message import Changes, Message, Name
from schemas.rows import Result, Row
from schemas.versions import version


class _Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind"):
    v: int = version()
    command_id: Annotated[
        str, Meta(min_length=1, max_length=300, description="the same for every repeat of one request")
    ]
    reply_to: Annotated[int, Meta(ge=0, description="the partition of `answers` to answer into")] | None = None


class Create(_Command, frozen=True, kw_only=True, tag="create"):
    """Schedule a message; the same id and content again changes nothing."""

    message: Message
    allow_past: bool = False

    @property
    def id(self) -> str:
        """The message's id."""
        return self.message.id


class Edit(_Command, frozen=True, kw_only=True, tag="edit"):
    """Change a message that was not handed over yet."""

    id: Name
    changes: Changes
    if_revision: int | None = None
    allow_past: bool = False


class Cancel(_Command, frozen=True, kw_only=True, tag="cancel"):
    """Stop what was not handed over yet."""

    id: Name


class Look(_Command, frozen=True, kw_only=True, tag="look"):
    """Tell what is known of a message."""

    id: Name


Command = Create | Edit | Cancel | Look


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the owner decided. `repeated`: it was decided before, and this is the same answer again."""

    v: int = version()
    command_id: str
    id: str
    result: Result
    state: MessageState | None = None
    due_at: datetime | None = None
    revision: int = 0
    detail: str = ""
    deliveries: dict[str, DeliveryState] = {}
    repeated: bool = False
    view: Row | None = None
