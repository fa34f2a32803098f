"""What the archive makes of events: pure, whatever batches they come in."""

from builders import BIRTH, EPOCH, NOON, a_create, a_message, a_row, an_ack, asked, decided, seen
from msgspec import Raw

from schemas.archive import DeliveryRow, Placed, rows_of, rows_of_live
from schemas.commands import Cancel
from schemas.events import Event
from schemas.lifecycle import DeliveryState, MessageState
from schemas.outcomes import Rejected, Response
from schemas.times import at

BODY = Raw(b'{"text": "hello"}')


def life(*given, message=None):
    """The events of a message that is created and then given these."""
    row, events = None, []
    for step in (asked(a_create(message or a_message(body=BODY, account="acme", tags=("a", "b"))), BIRTH), *given):
        decision = decided(seen(row, epoch=EPOCH), step, NOON)
        row = decision.row or row
        events += decision.events
    return events


def placed(events, first=100):
    return [Placed(1, first + n, event) for n, event in enumerate(events)]


def test_a_message_that_is_delivered_is_one_row_with_all_that_lists_ask_for():
    (message,) = rows_of(placed(life(an_ack())), bodies=True).messages
    assert (message.id, message.birth, message.position, message.state) == ("m", BIRTH, 102, "delivered")
    assert (message.account, message.channels, message.tags, message.body) == (
        "acme", ["log"], ["a", "b"], '{"text":"hello"}',
    )  # fmt: skip
    assert (message.due_at, message.finished_at) == (at(NOON), at(NOON))
    assert "hello" not in message.message


def test_every_event_is_a_row_and_a_repeated_one_is_not():
    events = life(an_ack())
    rows = rows_of(placed(events + events), bodies=True)
    assert [(e.kind, e.position) for e in rows.events] == [("scheduled", 100), ("delivered", 101), ("finished", 102)]
    assert rows.messages[0].position == 102


def test_a_dead_delivery_is_held_with_what_its_receiver_said():
    refused = an_ack(Rejected(reason="answered 410", response=Response(status=410, body="gone")))
    (delivery,) = rows_of(placed(life(refused)), bodies=True).deliveries
    assert (delivery.state, delivery.held, delivery.attempts, delivery.reason) == ("dead", True, 1, "answered 410")
    assert delivery.response == '{"status":410,"body":"gone"}'


def test_without_bodies_neither_the_message_nor_its_receivers_answer_is_kept():
    refused = an_ack(Rejected(reason="answered 410", response=Response(status=410, body="gone")))
    rows = rows_of(placed(life(refused)), bodies=False)
    assert rows.messages[0].body is None
    assert "hello" not in str(rows)
    assert "gone" not in str(rows)


def test_a_refused_edit_or_cancel_moves_nothing():
    first, *_, last = life(an_ack(), asked(Cancel(command_id="late", id="m"), 95))
    assert last.kind == "refused"
    (alone,) = rows_of(placed([last]), bodies=True).messages
    assert (alone.state, alone.due_at, alone.finished_at, alone.message) == (None, None, None, None)
    (both,) = rows_of(placed([first, last]), bodies=True).messages
    assert both.state == "scheduled"


def test_a_later_event_alone_leaves_what_it_does_not_know_open():
    *_, finished = life(an_ack())
    (row,) = rows_of(placed([finished]), bodies=True).messages
    assert (row.state, row.finished_at, row.message, row.account) == ("delivered", at(NOON), None, None)


def test_a_finished_message_that_is_tried_again_is_not_finished():
    over = event("finished", MessageState.DEAD)
    again = event("retried", MessageState.RETRYING, target=0, delivery_state=DeliveryState.RETRYING, turn=2)
    rows = rows_of(placed([over, again]), bodies=True)
    assert (rows.messages[0].state, rows.messages[0].finished_at) == ("retrying", None)
    assert not rows.deliveries[0].held


def test_a_discarded_dead_letter_waits_for_nobody():
    gone = event("discarded", MessageState.DEAD, target=0, delivery_state=DeliveryState.DEAD, turn=1)
    assert [d.held for d in rows_of(placed([gone]), bodies=True).deliveries] == [False]


def test_an_erased_message_has_no_content_whatever_the_same_batch_brought():
    events = [*life(an_ack()), event("erased", MessageState.DELIVERED)]
    (row,) = rows_of(placed(events), bodies=True).messages
    assert (row.erased, row.body, row.message, row.state) == (True, None, None, "delivered")
    assert (row.account, row.tags) == ("acme", ["a", "b"])


def test_a_text_with_a_nul_can_be_kept():
    (row,) = rows_of(placed(life(message=a_message(account="a\0b", tags=("c\0",)))), bodies=True).messages
    assert (row.account, row.tags) == ("a\N{REPLACEMENT CHARACTER}b", ["c\N{REPLACEMENT CHARACTER}"])
    assert "\0" not in row.message


def test_a_live_row_says_what_its_events_would_have_said():
    message, deliveries = rows_of_live(a_row(a_message(body=BODY, account="acme")), 1, bodies=True)
    (told,) = rows_of(placed(life(message=a_message(body=BODY, account="acme"))[:1]), bodies=True).messages
    known = ("id", "birth", "revision", "state", "due_at", "account", "channels", "tags", "message", "body")
    assert [getattr(message, name) for name in known] == [getattr(told, name) for name in known]
    assert deliveries == []


def test_a_live_row_that_was_tried_has_its_delivery():
    row = a_row(None, {"state": DeliveryState.RETRYING, "attempts": 1, "turn": 2, "reason": "answered 500"})
    _, (delivery,) = rows_of_live(row, 1, bodies=True)
    assert isinstance(delivery, DeliveryRow)
    assert (delivery.state, delivery.attempts, delivery.turn, delivery.held) == ("retrying", 1, 2, False)


def event(kind, state, **over):
    """Of any kind, those of newer releases too."""
    return Event(
        event_id=f"m!{BIRTH}!{kind}", kind=kind, id="m", at=at(NOON), birth=BIRTH, revision=1, state=state, **over
    )
