"""The timetable: one row per message, claims, progress."""

from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from schemas.lifecycle import AS_MESSAGE, HELD_WHOLE, DeliveryState, MessageState, is_finished, message_state
from schemas.message import LATEST, NO_BODY, Content
from schemas.outcomes import Response, SlotOf
from schemas.versions import version

ANSWERS_KEPT = 8
TIMELINE_KEPT = 20

Result = Literal[
    "accepted",
    "cancelled",
    "partly_cancelled",
    "too_late",
    "conflict",
    "not_found",
    "revision_mismatch",
    "refused",
    "wrong_state",
    "found",
]


class Remembered(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """An answer given once, kept with its command's offset: a replay is answered with it (rule 1)."""

    command_id: str
    offset: int
    result: Result
    state: MessageState | None = None
    due_at: datetime | None = None
    revision: int = 0
    detail: str = ""
    deliveries: dict[str, DeliveryState] = {}


class Moment(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One line of a message's timeline."""

    at: datetime
    what: str
    target: int | None = None
    note: str = ""


class ByHand(Struct, frozen=True, kw_only=True):
    """A retry that a person asked for: the turn it began, and the attempts before it. Delays are counted from there."""

    turn: int
    attempts: int


class Delivery(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One target of a message: where it is, when it is next due, what was tried."""

    target: int
    channel: str
    to: str = ""
    flow: str | None = None
    state: DeliveryState = DeliveryState.SCHEDULED
    due_at: datetime
    turn: int = 1
    turn_epoch: int
    attempts: int = 0
    maybe_sent: bool = False
    first_attempt_at: datetime | None = None
    last_attempt_at: datetime | None = None
    late_ms: int | None = None
    last_response: Response | None = None
    reason: str = ""
    slot: SlotOf = ""
    discarded: bool = False
    by_hand: ByHand | None = None

    @property
    def held(self) -> bool:
        """Whether a person may still act: given up or in doubt, and not discarded."""
        return self.state in HELD_WHOLE and not self.discarded

    @property
    def attempts_in_schedule(self) -> int:
        """Attempts since the schedule of delays began, at first or by hand."""
        return self.attempts - (self.by_hand.attempts if self.by_hand else 0)


def expires_of(message: Content, d: Delivery) -> datetime | None:
    """When a delivery is not sent any more; a schedule's run also when it was not begun in time."""
    of = message.occurrence
    if of is None or of.start_within is None or d.attempts or d.due_at != message.due_at:
        return message.expires_at
    bound = min(message.due_at, LATEST - of.start_within) + of.start_within
    return bound if message.expires_at is None else min(bound, message.expires_at)


class Row(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="kind", tag="row"):
    """A live message, whole; or the stub of a finished one, without body, headers and metadata.

    `finished_at`: when it last came to its end; an erased one has no addresses and responses either.
    """

    v: int = version()
    epoch: int
    id: str
    birth: int
    revision: int = 1
    original: str
    message: Content
    deliveries: tuple[Delivery, ...]
    answers: tuple[Remembered, ...] = ()
    timeline: tuple[Moment, ...] = ()
    created_at: datetime
    updated_at: datetime
    forget_at: datetime | None = None
    stub: bool = False
    finished_at: datetime | None = None
    erased: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing will move any more by itself."""
        return is_finished([d.state for d in self.deliveries])

    @property
    def was_just_made(self) -> bool:
        """Whether nothing has come after its making."""
        return len(self.timeline) == 1 and not self.finished

    @property
    def state(self) -> MessageState:
        """The state of the message as far as the timetable knows: emissions are not in it."""
        if len(self.deliveries) == 1:
            return AS_MESSAGE[self.deliveries[0].state]
        return message_state([d.state for d in self.deliveries])

    def answered(self, command_id: str) -> Remembered | None:
        """The answer this command got before, if it did."""
        return next((a for a in self.answers if a.command_id == command_id), None)


class Claim(Struct, frozen=True, kw_only=True, tag_field="kind", tag="claim"):
    """A new owner: its epoch is the offset where this landed; rows of older epochs after it are void (rule 7)."""

    v: int = version()
    owner: str
    at: datetime


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="progress"):
    """Offsets up to which all is decided and rows, events and answers are durable (rule 1).

    `unsaid`: ids of what changed in the same batch without a command or ack whose replay would tell the events again.
    """

    v: int = version()
    epoch: int
    commands: int
    acks: int
    unsaid: tuple[str, ...] = ()


CLAIM_KEY = "!claim"
PROGRESS_KEY = "!progress"


def kept(answers: tuple[Remembered, ...], birth: int, progress: int) -> tuple[Remembered, ...]:
    """The answers a row keeps: its first, the last eight, and every one that a replay from `progress` could ask for."""
    if len(answers) <= ANSWERS_KEPT:
        return answers
    recent = len(answers) - ANSWERS_KEPT
    return tuple(a for n, a in enumerate(answers) if n >= recent or a.offset >= progress or a.offset == birth)


def stubbed(message: Content) -> Content:
    """What stays of a finished message."""
    return replace(message, body=NO_BODY, body_base64=None, headers={}, metadata={}, content_type=None)


def erased_content(message: Content) -> Content:
    """What stays of an erased message: when it was due, and what lists are filtered by."""
    targets = tuple(replace(target, to="") for target in message.targets)
    return replace(stubbed(message), to="", targets=targets, on_finished=None)
