"""The topic `schedules`: one row per schedule, and claims."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from schemas.recurrence import YEARS, nominal_text
from schemas.rows import Remembered
from schemas.schedule import Definition
from schemas.times import ms_of
from schemas.versions import version

HISTORY_KEPT = 50
EXCEPTIONS_MAX = 2_000
OPEN_MAX = 1_000
"""So many runs wait or are under way: then no more are made, and those whose time passes are missed runs."""
SPANS_MAX = 500
MANUAL = "!manual"

PastState = Literal[
    "scheduled",  # made, its time has not come
    "running",  # begun: handed over, or waiting for another attempt
    "sent",
    "late",  # sent, and more than a minute after it was due
    "partial",  # sent to some of its targets
    "failed",  # dead or unknown: see its message
    "expired",
    "missed",  # its time passed while no scheduler ran, or while it was paused
    "skipped",  # a former run was not finished
    "cancelled",
]


class Past(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to an occurrence, or to `times` in a row, the last at `until`."""

    nominal: datetime
    state: PastState
    at: datetime
    due_at: datetime | None = None
    reason: str = ""
    manual: bool = False
    times: int = 1
    until: datetime | None = None


class ExceptionTo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is otherwise about one occurrence; it holds when the occurrence's own row is long gone."""

    kind: Literal["cancelled", "moved", "done"]
    due_at: datetime | None = None


class MissedRun(Struct, frozen=True, kw_only=True):
    """A run that a command found missed."""

    nominal: datetime
    due_at: datetime
    reason: str


class Span(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From and to, both included: no occurrence in it has run. Without `since`: all before."""

    since: datetime | None = None
    to: datetime


class Paused(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Since when, and why. `owed`: runs whose time had come and that were taken back all the same."""

    at: datetime
    note: str = ""
    owed: tuple[datetime, ...] = ()


class ScheduleRow(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="schedule"):
    """A schedule: its definition and how far it is carried out.

    `through`: the cursor `materialised_through`: nothing at or before it is made again, except by backfill. `counted`:
    how many of `count` lie there. `changed`: offset of the last command that changed the plan, the birth of what is
    made by it. `touched`: what the last command made or took back, should its events have to be told again; `missed`:
    what it found missed, until the next tending. `open`: what was made and is not in `history` yet, as ids less the
    schedule's. `tend_at`: when there is something to do.
    """

    v: int = version()
    epoch: int
    id: str
    birth: int
    changed: int
    revision: int = 1
    original: str
    definition: Definition
    through: datetime
    counted: int = 0
    tend_at: datetime | None = None
    paused: Paused | None = None
    removed: bool = False
    open: tuple[str, ...] = ()
    exceptions: dict[str, ExceptionTo] = {}
    not_run: tuple[Span, ...] = ()
    history: tuple[Past, ...] = ()
    answers: tuple[Remembered, ...] = ()
    touched: tuple[str, ...] = ()
    missed: tuple[MissedRun, ...] = ()
    created_at: datetime
    updated_at: datetime
    forget_at: datetime | None = None

    def answered(self, command_id: str) -> Remembered | None:
        """The answer this command got before, if it did."""
        return next((a for a in self.answers if a.command_id == command_id), None)

    def id_of(self, key: str) -> str:
        """The message id of an occurrence by its time."""
        return f"{self.id}@{key}"

    @property
    def state(self) -> str:
        """One word."""
        if self.removed:
            return "removed"
        if self.paused is not None:
            return "paused"
        return "ended" if self.tend_at is None else "active"


class ScheduleClaim(Struct, frozen=True, kw_only=True, tag_field="kind", tag="claim"):
    """The owner of the timetable partition says that from here on rows of older epochs are void (rule 7)."""

    v: int = version()
    epoch: int
    owner: str
    at: datetime


def tend_ms(row: ScheduleRow) -> int | None:
    """When there is something to do for a schedule, Unix ms; None: never by itself."""
    when = min((m for m in (row.tend_at, row.forget_at) if m is not None), default=None)
    return None if when is None else ms_of(when)


def key_of(occurrence_id: str) -> str:
    """The time in an occurrence's id, with its mark."""
    return occurrence_id.rpartition("@")[2]


def nominal_of(key: str) -> datetime | None:
    """The instant in an occurrence's id; None for what is none."""
    text = key.removesuffix(MANUAL)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None or found.year not in YEARS:
        return None
    return found if key != text or nominal_text(found) == text else None


def is_in(spans: tuple[Span, ...], nominal: datetime) -> bool:
    """Whether an occurrence never ran."""
    return any((s.since is None or s.since <= nominal) and nominal <= s.to for s in spans)
