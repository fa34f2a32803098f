"""Records with defaults, for tests: say only what the test is about."""

from datetime import timedelta
from typing import Any

from schemas.commands import Cancel, Create, Discard, Edit, Erase, Look, MarkSent, RetryDead, SendNow
from schemas.decide import decide
from schemas.decisions import Acked, Asked, Decision, Given, Mark, Policy, Seen, Wait
from schemas.lifecycle import DeliveryState
from schemas.message import Changes, Content, Message
from schemas.occurrence import OccurrenceOf
from schemas.outcomes import Ack, Delivered, Outcome
from schemas.rows import Delivery, Row
from schemas.times import at

NOON = 1_790_000_040_000
"""A whole minute, in the future of nothing: tests have no clock."""
MINUTE = 60_000
BIRTH = 70
EPOCH = 40
POLICY = Policy(delays_ms={"log": (5_000, 60_000), "webhook": (5_000,)})


def a_message(id_: str = "m", **over: Any) -> Message:
    """One target on the channel log, due at noon."""
    given: dict[str, Any] = {"id": id_, "due_at": at(NOON)}
    return Message(**(given | ({} if "targets" in over else {"channel": "log"}) | over))


def accepted(message: Content) -> Content:
    """As a row keeps it."""
    return Content(**{name: getattr(message, name) for name in message.__struct_fields__})


def a_content(id_: str = "m", **over: Any) -> Content:
    """A message as it lies in the timetable."""
    message = a_message(id_, **over)
    return Content(**{name: getattr(message, name) for name in Content.__struct_fields__})


def a_create(message: Message | None = None, command_id: str = "create", **over: Any) -> Create:
    return Create(command_id=command_id, message=message or a_message(), **over)


def an_edit(command_id: str = "edit", id_: str = "m", if_revision: int | None = None, **changes: Any) -> Edit:
    return Edit(
        command_id=command_id,
        id=id_,
        if_revision=if_revision,
        allow_past=changes.pop("allow_past", False),
        changes=Changes(**changes),
    )


def a_cancel(command_id: str = "cancel", id_: str = "m") -> Cancel:
    return Cancel(command_id=command_id, id=id_)


def a_look(command_id: str = "look", id_: str = "m") -> Look:
    return Look(command_id=command_id, id=id_)


def a_send_now(command_id: str = "send_now", id_: str = "m") -> SendNow:
    return SendNow(command_id=command_id, id=id_)


def an_erase(command_id: str = "erase", id_: str = "m") -> Erase:
    return Erase(command_id=command_id, id=id_)


def a_retry(target: int | None = None, command_id: str = "retry", id_: str = "m") -> RetryDead:
    return RetryDead(command_id=command_id, id=id_, target=target)


def a_discard(target: int | None = None, command_id: str = "discard", id_: str = "m") -> Discard:
    return Discard(command_id=command_id, id=id_, target=target)


def a_mark_sent(target: int | None = None, command_id: str = "mark_sent", id_: str = "m") -> MarkSent:
    return MarkSent(command_id=command_id, id=id_, target=target)


def a_row(message: Message | None = None, *deliveries: dict[str, Any], **over: Any) -> Row:
    """The row that a create makes, with its deliveries and itself changed as told."""
    made = decided(Seen(row=None, epoch=EPOCH), asked(a_create(message, allow_past=True), BIRTH)).row
    assert made is not None
    over.setdefault("message", accepted(made.message))
    changed = [changed_delivery(d, over_) for d, over_ in zip(made.deliveries, deliveries, strict=False)]
    return replaced(made, deliveries=(*changed, *made.deliveries[len(changed) :]), **over)


def an_occurrence(within_s: int = 60, **over: Any) -> Row:
    """A row of the schedule "m", which must begin within so many seconds."""
    of = OccurrenceOf(schedule="m", nominal=at(NOON), start_within=timedelta(seconds=within_s))
    row = a_row(**over)
    return replaced(row, message=replaced(row.message, occurrence=of))


def changed_delivery(d: Delivery, over: dict[str, Any]) -> Delivery:
    return replaced(d, **over)


def replaced(record: Any, **over: Any) -> Any:
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    return type(record)(**(fields | over))


def asked(command: Any, offset: int = 90, at_ms: int = NOON - MINUTE) -> Asked:
    return Asked(command, offset, at_ms)


def an_ack(result: Outcome | None = None, **over: Any) -> Acked:
    """Of the first turn of the first target, begun and finished at noon."""
    given: dict[str, Any] = {
        "id": "m", "target": 0, "birth": BIRTH, "turn": 1, "started_at": at(NOON), "finished_at": at(NOON),
        "result": result or Delivered(),
    }  # fmt: skip
    return Acked(Ack(**(given | over)))


def seen(row: Row | None, *marks: Mark, **over: Any) -> Seen:
    return Seen(row=row, marks=marks, epoch=over.pop("epoch", EPOCH), **over)


def decided(what: Seen, given: Given, now_ms: int = NOON - MINUTE, policy: Policy = POLICY) -> Decision:
    """The decision; a Wait fails the test."""
    found = decide(what, given, now_ms, policy)
    assert not isinstance(found, Wait)
    return found


def states(row: Row | None) -> list[DeliveryState]:
    return [] if row is None else [d.state for d in row.deliveries]
