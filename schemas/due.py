"""What the spout emits: due messages, and the fences that void those of older epochs."""

from datetime import datetime

from msgspec import Raw, Struct

from schemas.message import NO_BODY
from schemas.outcomes import SlotOf
from schemas.versions import version


class DueBody(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A due message less what is the same for a whole pack: encoded once, when its window comes near."""

    id: str
    key: str
    target: int
    birth: int
    turn: int
    revision: int
    attempt: int
    due_at: datetime
    expires_at: datetime | None = None
    channel: str
    to: str = ""
    flow: str | None = None
    account: str | None = None
    body: Raw = NO_BODY
    body_base64: str | None = None
    content_type: str | None = None
    headers: dict[str, str] = {}
    maybe_sent: bool = False
    slot: SlotOf = ""


class DueMessage(DueBody, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="due"):
    """One attempt at one delivery, handed to the couriers of its channel."""

    v: int = version()
    partition: int
    epoch: int
    emitted_at: datetime


class Fence(Struct, frozen=True, kw_only=True, tag_field="kind", tag="fence"):
    """After it, due messages of this timetable partition with an older epoch are void (rule 7)."""

    v: int = version()
    partition: int
    epoch: int
