"""What has become of a schedule's occurrence, as far as its row tells, and what is told of it."""

from datetime import datetime

from schemas.decide_events import delivery_event, final_event
from schemas.decisions import Mark, Policy
from schemas.events import Event
from schemas.lifecycle import LIVE, DeliveryState, MessageState
from schemas.occurrence import MISSED_MARK, SKIPPED_MARK, TAKEN_BACK_MARK
from schemas.recurrence import nominal_text
from schemas.rows import Row
from schemas.schedule_rows import MANUAL, MissedRun, Past, PastState, ScheduleRow, nominal_of
from schemas.times import ms_of


def missed_event(row: ScheduleRow, run: MissedRun, now: datetime) -> Event:
    """What is told of a run that was never made: the same whenever it is told again."""
    message_id = row.id_of(nominal_text(run.nominal))
    return Event(
        event_id=f"{message_id}!{row.changed}!missed",
        kind="missed",
        id=message_id,
        at=now,
        birth=row.changed,
        revision=1,
        state=MessageState.EXPIRED,
        due_at=run.due_at,
        reason=run.reason,
    )


def is_untouched(row: Row, marks: tuple[Mark, ...]) -> bool:
    """Whether nothing of it was handed over, is on its way or may be."""
    return all(
        d.state in LIVE and not d.attempts and not d.maybe_sent and (n >= len(marks) or marks[n] is Mark.FREE)
        for n, d in enumerate(row.deliveries)
    )


def never_sent(row: Row) -> bool:
    """Whether it is over and nothing of it was ever begun."""
    return row.finished and all(
        d.state in (DeliveryState.CANCELLED, DeliveryState.EXPIRED) and not d.attempts and not d.maybe_sent
        for d in row.deliveries
    )


def events_of_end(row: Row) -> list[Event]:
    """What is told of an occurrence that its schedule took back."""
    return [*(delivery_event(row, d) for d in row.deliveries), *final_event(row)]


def was_taken_back(row: Row) -> bool:
    """Whether its schedule ended it, before anything of it was begun: it may be made again."""
    return row.finished and all(d.reason.startswith(TAKEN_BACK_MARK) for d in row.deliveries)


def past_of(key: str, row: Row, marks: tuple[Mark, ...], policy: Policy) -> Past:
    """What has become of an occurrence, as far as its row tells."""
    nominal = nominal_of(key)
    assert nominal is not None
    state, reason = _state_of(row, marks, policy)
    return Past(
        nominal=nominal,
        due_at=row.message.due_at,
        state=state,
        at=row.finished_at or row.updated_at,
        reason=reason,
        manual=key.endswith(MANUAL),
    )


def _state_of(row: Row, marks: tuple[Mark, ...], policy: Policy) -> tuple[PastState, str]:
    if not row.finished:
        begun = any(d.attempts for d in row.deliveries) or any(m is not Mark.FREE for m in marks)
        return ("running" if begun else "scheduled"), ""
    worst = next((d.reason for d in row.deliveries if d.state is not DeliveryState.DELIVERED), "")
    match row.state:
        case MessageState.DELIVERED:
            began = min((d.first_attempt_at for d in row.deliveries if d.first_attempt_at), default=None)
            late_ms = 0 if began is None else ms_of(began) - ms_of(row.message.due_at)
            return ("late", f"begun {late_ms // 1000} s late") if late_ms > policy.late_ms else ("sent", "")
        case MessageState.PARTIAL:
            return "partial", worst
        case MessageState.CANCELLED:
            skipped = worst.startswith(SKIPPED_MARK)
            return ("skipped" if skipped else "cancelled"), worst.removeprefix(SKIPPED_MARK)
        case MessageState.EXPIRED:
            return _expired(row, worst)
        case _:
            return "failed", worst


def was_missed(row: Row | None) -> bool:
    """Whether it is a schedule's run that has ended because it did not begin in time."""
    if row is None or row.state is not MessageState.EXPIRED or row.message.occurrence is None:
        return False
    return _expired(row, next((d.reason for d in row.deliveries), ""))[0] == "missed"


def _expired(row: Row, reason: str) -> tuple[PastState, str]:
    """Missed, where its schedule's bound was what passed."""
    of, expires = row.message.occurrence, row.message.expires_at
    if any(d.attempts for d in row.deliveries) or of is None or of.start_within is None:
        return "expired", reason
    if reason.startswith(SKIPPED_MARK):
        return "skipped", reason.removeprefix(SKIPPED_MARK)
    if expires is not None and expires <= row.message.due_at + of.start_within:
        return "expired", reason
    return "missed", reason.removeprefix(MISSED_MARK) or "it could not begin in time"
