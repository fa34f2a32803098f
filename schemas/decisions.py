"""What a decision is made of, and what it gives: see decide.py."""

from collections.abc import Mapping
from enum import Enum

from msgspec import Struct

from schemas.commands import Announce, Answer, Command
from schemas.events import DeadLetter, Event
from schemas.lifecycle import LIVE
from schemas.outcomes import Ack
from schemas.rows import Remembered, Row


class Mark(Enum):
    """What the owner knows of the emission of one delivery's present turn (rule 2)."""

    FREE = "free"  # not emitted
    PRODUCING = "producing"  # its due record is on its way into Kafka
    EMITTED = "emitted"  # its due record is in Kafka
    PERHAPS = "perhaps"  # a former owner may have emitted it


class Policy(Struct, frozen=True, kw_only=True):
    """What decisions are made by, apart from the message: `delays_ms` has one entry per known channel."""

    delays_ms: Mapping[str, tuple[int, ...]]
    idempotency_ms: int = 24 * 3_600_000
    held_whole_ms: int = 30 * 24 * 3_600_000
    past_ms_max: int = 5 * 60_000
    horizon_ms: int = 5 * 60_000
    late_ms: int = 60_000
    announce_by: str = "webhook"
    """The channel of `on_finished`."""


class Seen(Struct, frozen=True, gc=False, kw_only=True):
    """What the owner sees of one message: its row, the marks of its deliveries, and answers given without a row.

    `progress`: commands below this offset are never replayed.
    """

    row: Row | None
    marks: tuple[Mark, ...] = ()
    recent: tuple[Remembered, ...] = ()
    epoch: int = 0
    progress: int = 0

    def mark(self, target: int) -> Mark:
        """The mark of one delivery."""
        return self.marks[target] if target < len(self.marks) else Mark.FREE


class Asked(Struct, frozen=True, gc=False):
    """A command, where it lies in `commands`, and when it was written there."""

    command: Command
    offset: int
    at_ms: int


class Acked(Struct, frozen=True, gc=False):
    """A courier's answer."""

    ack: Ack


class Lapsed(Struct, frozen=True):
    """The spout came upon a delivery past its `expires_at`."""

    id: str
    target: int


class Forgotten(Struct, frozen=True):
    """A finished message's time is over."""

    id: str


class Withheld(Struct, frozen=True):
    """The spout came upon an occurrence that gives way to another run of its schedule: why."""

    id: str
    reason: str


class Released(Struct, frozen=True):
    """The limits that gave a delivery its slot were raised or removed; or, `resumed`, its pause is over."""

    id: str
    target: int
    resumed: bool = False


class Unsaid(Struct, frozen=True):
    """A former owner changed a message by itself, and may have died before it told the events (`unsaid`)."""

    id: str


Given = Asked | Acked | Lapsed | Forgotten | Withheld | Released | Unsaid


class Wait(Struct, frozen=True):
    """Cannot be decided until an emission has landed or an ack has settled it."""


class Decision(Struct, frozen=True, gc=False, kw_only=True):
    """What to write, in this order: the row (a tombstone when `row` is None), then all else.

    `announce`: commands of our own, told like events: again and again until they are durable, and the same each time.
    """

    writes: bool = False
    row: Row | None = None
    events: tuple[Event, ...] = ()
    dead: tuple[DeadLetter, ...] = ()
    answer: Answer | None = None
    announce: tuple[Announce, ...] = ()
    remember: Remembered | None = None


NOTHING = Decision()
WAIT = Wait()


def must_wait(seen: Seen) -> bool:
    """Whether an emission is in doubt or on its way: then neither `accepted` nor `too_late` would be true yet."""
    return seen.row is not None and any(
        d.state in LIVE and seen.mark(d.target) in (Mark.PRODUCING, Mark.PERHAPS) for d in seen.row.deliveries
    )
