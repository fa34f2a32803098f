"""What a schedule makes next: the one loop that moves its cursor (DESIGN section 7)."""

from datetime import datetime, timedelta
from itertools import takewhile

from msgspec.structs import replace

from schemas.occurrence_past import never_sent, was_taken_back
from schemas.recurrence import Occurrence, jittered_due, nominal_text, occurrences
from schemas.rows import Row
from schemas.schedule import Definition, Missed
from schemas.schedule_draft import Draft
from schemas.schedule_rows import MANUAL, OPEN_MAX, Past, nominal_of

MADE_MAX = 300
LOOKED_MAX = 2_000
"""So much in one decision: a long outage is made up for in many, which give way to everything else."""
OUTAGE = "no scheduler ran"
PAUSE = "it was paused"
SOON = timedelta(milliseconds=1)
FULL = timedelta(seconds=10)


def plan(draft: Draft, cause: str = OUTAGE) -> None:
    """Make what the horizon wants, at least one to come; moves the cursor behind it, and says when to look again."""
    row = draft.row
    horizon = draft.now + timedelta(milliseconds=draft.policy.horizon_ms)
    source = occurrences(row.definition, row.id, row.through, row.counted)
    looked, current = 0, next(source, None)
    while current is not None:
        if current.nominal > draft.now and current.nominal > horizon and _latest_ahead(draft) is not None:
            break
        if len(draft.open) >= OPEN_MAX or looked == LOOKED_MAX or len(draft.changes) >= MADE_MAX:
            full = len(draft.open) >= OPEN_MAX
            draft.row = replace(draft.row, tend_at=draft.now + (FULL if full else timedelta(0)))
            return
        following = next(source, None)
        _take(draft, current, following, cause)
        draft.row = replace(draft.row, through=current.nominal, counted=draft.row.counted + 1)
        looked, current = looked + 1, following
    draft.row = replace(draft.row, tend_at=_tend_at(draft, current))


def _latest_ahead(draft: Draft) -> datetime | None:
    """The last one that is made and still to come."""
    ahead = [n for key in draft.open if not key.endswith(MANUAL) and (n := nominal_of(key)) and n > draft.now]
    return max(ahead, default=None)


def _tend_at(draft: Draft, coming: Occurrence | None) -> datetime | None:
    """When half of the horizon is used up, or when the last that is made has its time."""
    if coming is None:
        return None
    last = _latest_ahead(draft) or draft.row.through
    early = coming.nominal - timedelta(milliseconds=draft.policy.horizon_ms // 2)
    return max(draft.now + SOON, min(last, early))


def _take(draft: Draft, current: Occurrence, following: Occurrence | None, cause: str) -> None:
    key = nominal_text(current.nominal)
    old = draft.withdrawn.pop(key, None)
    got = None if old is not None else draft.get(key)
    if got is not None and not may_be_made_again(draft, got[0]):
        draft.adopt(key, got[0])
        return
    if got is not None:
        old = got[0]
    exception = draft.exceptions.get(key)
    if exception is not None and exception.kind != "moved":
        if old is not None and not old.finished:
            draft.withdrawn[key] = old
            draft.drop(key, "cancelled")
        draft.missing = False
        if exception.kind == "cancelled":
            draft.keep(Past(nominal=current.nominal, due_at=current.due, state="cancelled", at=draft.now))
        return
    due = current.due if exception is None or exception.due_at is None else exception.due_at
    reason = _why_missed(draft, due, following)
    if reason:
        draft.miss(current.nominal, due, f"{cause}; {reason}")
        if old is not None and not old.finished:
            draft.withdrawn[key] = old
            draft.drop(key, reason)
    else:
        draft.make(key, current.nominal, due, draft.row.changed, old)


def may_be_made_again(draft: Draft, row: Row) -> bool:
    """What the schedule took back, and what was cancelled in an earlier life of its id."""
    return was_taken_back(row) or (row.birth < draft.row.birth and never_sent(row))


def _why_missed(draft: Draft, due: datetime, following: Occurrence | None) -> str:
    """The policy's word on a run whose time has passed by more than a minute; empty: it runs."""
    if due + draft.late >= draft.now:
        return ""
    definition = draft.row.definition
    if definition.missed is Missed.SKIP:
        return "missed runs are skipped"
    if definition.missed is Missed.LATEST and following is not None and following.nominal <= draft.now:
        return "only the latest runs"
    if due + definition.catch_up < draft.now:
        return "it is later than `catch_up`"
    return ""


def make_up(draft: Draft, owed: tuple[datetime, ...]) -> None:
    """Runs that a pause took back when their time had come: as if they lay after the cursor."""
    row = draft.row
    coming = next(occurrences(row.definition, row.id, row.through, row.counted), None)
    known = [Occurrence(nominal, jittered_due(row.definition, row.id, nominal)) for nominal in owed]
    for current, following in zip(known, (*known[1:], coming), strict=False):
        _take(draft, current, following, PAUSE)


def set_back(draft: Draft) -> None:
    """The cursor goes back to now: what lies after it is planned anew. What was counted there is not counted."""
    row = draft.row
    if row.through <= draft.now:
        return
    coming = occurrences(replace(row.definition, count=None), row.id, draft.now)
    again = sum(1 for _ in takewhile(lambda o: o.nominal <= row.through, coming))
    draft.row = replace(row, through=draft.now, counted=max(0, row.counted - again))


def replan(draft: Draft, reason: str) -> None:
    """After a change: what was withdrawn is replaced where it still has its place in the plan, else its end is told."""
    for key in list(draft.withdrawn):
        nominal = nominal_of(key)
        assert nominal is not None
        if nominal <= draft.now or key.endswith(MANUAL):  # its time has come: it keeps it
            old = draft.withdrawn.pop(key)
            draft.make(key, nominal, old.message.due_at, draft.row.changed, old)
    plan(draft)
    for key in list(draft.withdrawn):
        nominal = nominal_of(key)
        assert nominal is not None
        moved = draft.exceptions.get(key)
        if moved is not None and moved.due_at is not None and has(draft.row.definition, draft.row.id, nominal):
            draft.make(key, nominal, moved.due_at, draft.row.changed, draft.withdrawn.pop(key))
        else:
            draft.drop(key, reason)


def has(definition: Definition, schedule_id: str, nominal: datetime) -> bool:
    """Whether an instant is one of a definition's."""
    found = next(occurrences(replace(definition, count=None), schedule_id, nominal - timedelta(seconds=1)), None)
    return found is not None and found.nominal == nominal
