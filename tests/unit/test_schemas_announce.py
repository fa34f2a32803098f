"""`on_finished`: the message that tells of another's end is made once, from the final event alone."""

import msgspec
import pytest
from builders import (
    BIRTH,
    MINUTE,
    NOON,
    POLICY,
    a_cancel,
    a_mark_sent,
    a_message,
    a_retry,
    a_row,
    an_ack,
    an_edit,
    asked,
    decided,
    seen,
)

from schemas.commands import Announce
from schemas.events import Event
from schemas.lifecycle import DeliveryState
from schemas.message import Message, OnFinished, Target
from schemas.outcomes import Delivered, Rejected, RetryLater
from schemas.times import at

URL = "https://example.com/done"
TOLD = a_message(on_finished=OnFinished(url=URL))


def the_ends() -> tuple[Announce, Announce]:
    """Of a message that was dead, was tried again by hand, and then taken."""
    dead = decided(seen(a_row(TOLD)), an_ack(Rejected(reason="no")), NOON)
    again = decided(seen(dead.row), asked(a_retry()), NOON + 1)
    taken = decided(seen(again.row), an_ack(Delivered(), turn=2), NOON + 2)
    return (*dead.announce, *taken.announce)


def test_the_end_of_a_message_is_announced_with_its_final_event_as_an_ordinary_webhook():
    found = decided(seen(a_row(TOLD)), an_ack(Delivered()), NOON + 5)
    (announce,) = found.announce
    made = announce.message
    assert (made.id, made.channel, made.to, made.due_at) == ("m!finished", "webhook", URL, at(NOON + 5))
    assert msgspec.json.decode(made.body, type=Event) == found.events[-1]
    assert (announce.command_id, found.events[-1].state) == ("m!70!finished!1", "delivered")
    new = decided(seen(None), asked(announce, 99), NOON + 6).row
    assert (new.birth, new.message.id, new.message.to) == (99, "m!finished", URL)


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (an_ack(Rejected(reason="no")), 1),
        (an_ack(RetryLater(reason="later")), 0),
        (asked(a_cancel()), 1),
        (asked(an_edit(priority=1)), 0),
    ],
)
def test_it_is_announced_however_it_ends_and_not_before(given, count):
    assert len(decided(seen(a_row(TOLD)), given).announce) == count


def test_of_many_targets_only_the_last_end_is_announced():
    message = a_message(targets=(Target(channel="log"), Target(channel="log")), on_finished=OnFinished(url=URL))
    first = decided(seen(a_row(message)), an_ack(Delivered()), NOON)
    second = decided(seen(first.row), an_ack(Delivered(), target=1), NOON)
    assert (len(first.announce), len(second.announce)) == (0, 1)


@pytest.mark.parametrize(("states", "count"), [((), 1), (("dead", "delivered"), 1), (("dead",), 0)])
def test_only_the_states_asked_for_are_announced(states, count):
    row = a_row(a_message(on_finished=OnFinished(url=URL, states=states)))
    assert len(decided(seen(row), an_ack(Delivered())).announce) == count


def test_whatever_is_repeated_announces_the_very_same_again():
    first = decided(seen(a_row(TOLD)), an_ack(Delivered()), NOON)
    again = decided(seen(first.row), an_ack(Delivered()), NOON + MINUTE)
    assert again.announce == first.announce
    cancel = decided(seen(a_row(TOLD)), asked(a_cancel()), NOON)
    assert decided(seen(cancel.row), asked(a_cancel()), NOON + MINUTE).announce == cancel.announce
    late = decided(seen(cancel.row), asked(a_cancel()), NOON + POLICY.idempotency_ms)
    assert late.announce == (), "it was made long ago, and may be forgotten by now"


def test_a_refused_edit_in_between_changes_no_announcement():
    first = decided(seen(a_row(TOLD)), an_ack(Rejected(reason="no")), NOON)
    edited = decided(seen(first.row), asked(an_edit(priority=1)), NOON + 9)
    assert decided(seen(edited.row), an_ack(Rejected(reason="no")), NOON + MINUTE).announce == first.announce


def test_an_announcement_made_already_is_not_made_again():
    first, _ = the_ends()
    row = decided(seen(None), asked(first, 99)).row
    again = decided(seen(row), asked(first, 104))
    assert (again.writes, again.announce) == (False, ())
    replay = decided(seen(row), asked(first, 99))
    assert [e.kind for e in replay.events] == ["scheduled"], "its event may have been lost"


def test_a_second_end_gets_a_longer_id_while_the_first_is_remembered():
    first, second = the_ends()
    row = decided(seen(None), asked(first, 99)).row
    found = decided(seen(row), asked(second, 104))
    (longer,) = found.announce
    assert (found.writes, longer.message.id) == (False, "m!finished!70.2")
    made = decided(seen(None), asked(longer, 120)).row
    again = decided(seen(made), asked(longer, 130))
    assert (again.writes, again.announce) == (False, ())


def test_what_a_person_brings_to_another_end_is_announced_anew():
    dead = decided(seen(a_row(TOLD)), an_ack(Rejected(reason="no")), NOON)
    assert decided(seen(dead.row), asked(a_retry()), NOON + 1).announce == ()
    (announce,) = decided(seen(dead.row), asked(a_mark_sent()), NOON + 1).announce
    assert msgspec.json.decode(announce.message.body)["state"] == DeliveryState.DELIVERED
    assert announce != dead.announce[0]


def test_nobody_else_writes_messages_with_ids_of_ours_this_way():
    forged = Announce(command_id="x", message=Message(id="m", due_at=at(NOON), channel="webhook", to=URL))
    assert decided(seen(None), asked(forged)).answer.result == "refused"


@pytest.mark.parametrize("url", ["ftp://x", "example.com", ""])
def test_only_web_addresses_can_be_told(url):
    given = {"id": "m", "due_at": "2100-01-01T00:00:00Z", "channel": "log", "on_finished": {"url": url}}
    with pytest.raises(msgspec.ValidationError, match=r"on_finished\.url"):
        msgspec.convert(given, Message)


def test_an_id_of_full_length_leaves_room_for_the_announcement():
    row = a_row(a_message("i" * 200, on_finished=OnFinished(url=URL)))
    (announce,) = decided(seen(row), an_ack(Delivered(), id="i" * 200, birth=BIRTH)).announce
    assert msgspec.json.decode(msgspec.json.encode(announce), type=Announce) == announce
