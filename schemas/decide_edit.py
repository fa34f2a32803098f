"""What becomes of an edit: pure, called by decide alone."""

from msgspec.structs import replace

from schemas.commands import Edit, SendNow
from schemas.decide_answers import answer_to, not_found, noted, refused, remembered
from schemas.decide_create import past_fault
from schemas.decide_events import whole_event
from schemas.decisions import Asked, Decision, Mark, Policy, Seen
from schemas.lifecycle import LIVE
from schemas.message import TIMING
from schemas.message import edited as edited_message
from schemas.rows import Moment, Row
from schemas.times import at, ms_of


def sent_now(seen: Seen, asked: Asked, command: SendNow, now_ms: int) -> Decision:
    """Everything that waits is due at once, as by an edit; what is due already keeps its time."""
    row = seen.row
    if row is None:
        return not_found(asked, command)
    detail = handed_fault(seen, row)
    if detail:
        return refused(seen, asked, command, "too_late", detail, now_ms)
    expires = row.message.expires_at
    if expires is not None and ms_of(expires) <= now_ms:
        return refused(seen, asked, command, "refused", "`expires_at` is past: set a later one first", now_ms)
    now = at(now_ms)
    deliveries = tuple(
        replace(d, turn=d.turn + 1, turn_epoch=seen.epoch, due_at=min(d.due_at, now)) for d in row.deliveries
    )
    message = replace(row.message, due_at=min(row.message.due_at, now))
    return _revised(seen, asked, command, replace(row, message=message, deliveries=deliveries), "due_at: now", now_ms)


def edited(seen: Seen, asked: Asked, command: Edit, now_ms: int, policy: Policy) -> Decision:
    """All or nothing: refused when any delivery is emitted, finished or perhaps sent (rule 2, `edit_whole`)."""
    row = seen.row
    if row is None:
        return not_found(asked, command)
    if command.if_revision is not None and command.if_revision != row.revision:
        return refused(seen, asked, command, "revision_mismatch", f"the revision is {row.revision}", now_ms)
    detail = edit_fault(seen, row, command)
    if detail:
        return refused(seen, asked, command, "too_late", detail, now_ms)
    try:
        message = edited_message(row.message, command.changes)
    except ValueError as fault:
        return refused(seen, asked, command, "refused", str(fault), now_ms)
    moved = message.due_at != row.message.due_at
    past = past_fault(asked, message, policy) if moved and not command.allow_past else None
    if past:
        return refused(seen, asked, command, "refused", past, now_ms)
    deliveries = tuple(
        replace(
            d,
            turn=d.turn + 1,
            turn_epoch=seen.epoch,
            due_at=message.due_at if moved else d.due_at,
            slot="" if moved else d.slot,
            reason="" if moved else d.reason,
            to=d.to if message.targets else message.to,
        )
        for d in row.deliveries
    )
    new = replace(row, message=message, deliveries=deliveries)
    return _revised(seen, asked, command, new, ", ".join(sorted(command.changes.given())), now_ms)


def _revised(seen: Seen, asked: Asked, command: Edit | SendNow, row: Row, what: str, now_ms: int) -> Decision:
    new = replace(row, revision=row.revision + 1)
    note = remembered(asked, command, new, "accepted")
    new = noted(new, seen, note, now_ms, Moment(at=at(now_ms), what="edited", note=what))
    return Decision(
        writes=True, row=new, events=(whole_event(new, "edited"),), answer=answer_to(command, note), remember=note
    )


def edit_fault(seen: Seen, row: Row, command: Edit) -> str:
    """Why it is too late for this edit; empty when it is not."""
    handed = handed_fault(seen, row)
    if handed:
        return handed
    if any(d.attempts for d in row.deliveries) and not command.changes.given().keys() <= TIMING:
        return f"the content is fixed after a first attempt; {', '.join(sorted(TIMING))} can still be edited"
    return ""


def handed_fault(seen: Seen, row: Row) -> str:
    """Which target is finished, handed to the couriers or perhaps sent; empty where all wait (`edit_whole`)."""
    for d in row.deliveries:
        if d.state not in LIVE:
            return f"target {d.target} is {d.state.value}"
        if seen.mark(d.target) is not Mark.FREE:
            return "it was handed to the couriers"
        if d.maybe_sent:
            return f"target {d.target} was perhaps sent: a request went out and no response came back"
    return ""
