"""What people ask of a message's owner, and what it answers."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from schemas.ids import ANY_ID_MAX
from schemas.lifecycle import DeliveryState, MessageState
from schemas.message import Changes, Message
from schemas.rows import Result, Row
from schemas.schedule_commands import ScheduleCommand, ScheduleView
from schemas.versions import version

Id = Annotated[str, Meta(min_length=1, max_length=ANY_ID_MAX, description="the message's id")]
Which = Annotated[
    int, Meta(ge=0, le=99, description="the number of one target; all that are dead or unknown without it")
]


class _Command(
    Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind"
):
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

    id: Id
    changes: Changes
    if_revision: int | None = None
    allow_past: bool = False


class Cancel(_Command, frozen=True, kw_only=True, tag="cancel"):
    """Stop what was not handed over yet."""

    id: Id


class Look(_Command, frozen=True, kw_only=True, tag="look"):
    """Tell what is known of a message."""

    id: Id


class SendNow(_Command, frozen=True, kw_only=True, tag="send_now"):
    """Let a message be due at once; it can be too late for that as for an edit."""

    id: Id


class Erase(_Command, frozen=True, kw_only=True, tag="erase"):
    """Take away what a finished message held: body, headers, metadata, addresses, responses."""

    id: Id


class RetryDead(_Command, frozen=True, kw_only=True, tag="retry_dead"):
    """Try a dead or unknown delivery again, at once; its schedule of retries begins anew."""

    id: Id
    target: Which | None = None


class Discard(_Command, frozen=True, kw_only=True, tag="discard"):
    """Give a dead or unknown delivery up for good: it keeps its state, and is no dead letter any more."""

    id: Id
    target: Which | None = None


class MarkSent(_Command, frozen=True, kw_only=True, tag="mark_sent"):
    """A person says that a dead or unknown delivery was sent."""

    id: Id
    target: Which | None = None


class Announce(_Command, frozen=True, kw_only=True, tag="announce"):
    """The message that tells of another's end (`on_finished`): written by owners alone."""

    message: Message

    @property
    def id(self) -> str:
        """The message's id."""
        return self.message.id


Command = Create | Edit | Cancel | Look | SendNow | Erase | RetryDead | Discard | MarkSent | Announce
AnyCommand = Command | ScheduleCommand
ByHandCommand = RetryDead | Discard | MarkSent


class Answer(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
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
    schedule: ScheduleView | None = None
    schedules: tuple[ScheduleView, ...] = ()
