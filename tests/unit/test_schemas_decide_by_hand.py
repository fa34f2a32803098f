"""What becomes of send now, erase, and a person's word on dead letters, in each state of the message."""

import pytest
from builders import (
    BIRTH,
    EPOCH,
    MINUTE,
    NOON,
    POLICY,
    a_cancel,
    a_create,
    a_discard,
    a_look,
    a_mark_sent,
    a_message,
    a_retry,
    a_row,
    a_send_now,
    an_ack,
    an_edit,
    an_erase,
    asked,
    decided,
    replaced,
    seen,
    states,
)
from msgspec import Raw

from schemas.decide import decide
from schemas.decisions import Decision, Forgotten, Mark, Wait
from schemas.lifecycle import LIVE, DeliveryState, MessageState
from schemas.message import Retry, Target
from schemas.outcomes import Delivered, Rejected, Response, RetryLater
from schemas.rows import ByHand
from schemas.times import at

S = DeliveryState
TWO = (Target(channel="log", to="a"), Target(channel="webhook", to="u"))
NOW = NOON - MINUTE
DEAD = {"state": S.DEAD, "attempts": 3, "turn": 4, "reason": "400"}
UNKNOWN = {"state": S.UNKNOWN, "attempts": 1, "turn": 2, "maybe_sent": True, "reason": "no response"}
WHOLE = {"body": Raw(b'"hello"'), "headers": {"x": "1"}, "metadata": {"y": 2}, "content_type": "text/plain"}
BY_HAND = [a_retry, a_discard, a_mark_sent]


def kinds(decision: Decision) -> list[str]:
    return [event.kind for event in decision.events]


def said(decision: Decision) -> tuple[str, MessageState | None]:
    assert decision.answer is not None
    return decision.answer.result, decision.answer.state


# ---- send now


def test_send_now_lets_a_message_be_due_at_once_as_a_new_revision():
    found = decided(seen(a_row(a_message(targets=TWO)), epoch=EPOCH + 9), asked(a_send_now()), NOW)
    assert (said(found), found.answer.due_at, found.answer.revision) == (
        ("accepted", MessageState.SCHEDULED), at(NOW), 2
    )  # fmt: skip
    assert [(d.due_at, d.turn, d.turn_epoch) for d in found.row.deliveries] == [(at(NOW), 2, EPOCH + 9)] * 2
    assert [(e.event_id, e.due_at) for e in found.events] == [("m!70!edited!2", at(NOW))]


def test_send_now_hastens_a_retry_and_leaves_what_is_due_already_its_place():
    row = a_row(a_message(), {"state": S.RETRYING, "attempts": 1, "due_at": at(NOON + 9 * MINUTE)})
    new = decided(seen(row), asked(a_send_now()), NOON + MINUTE).row
    assert (new.message.due_at, new.deliveries[0].due_at) == (at(NOON), at(NOON + MINUTE))
    late = decided(seen(a_row()), asked(a_send_now()), NOON + MINUTE).row
    assert late.deliveries[0].due_at == at(NOON)


@pytest.mark.parametrize(
    ("over", "mark"),
    [
        *(({"state": s}, Mark.FREE) for s in sorted(set(S) - LIVE)),
        ({}, Mark.EMITTED),
        ({"maybe_sent": True}, Mark.FREE),
    ],
)
def test_send_now_is_too_late_when_an_edit_is(over, mark):
    row = a_row(a_message(), over)
    now, edit = (decided(seen(row, mark), asked(c)) for c in (a_send_now(), an_edit(due_at=at(NOON + 1))))
    assert said(now) == said(edit)
    assert said(now)[0] == "too_late"


@pytest.mark.parametrize("mark", [Mark.PRODUCING, Mark.PERHAPS])
def test_send_now_waits_while_an_emission_is_in_doubt(mark):
    assert isinstance(decide(seen(a_row(), mark), asked(a_send_now()), NOW, POLICY), Wait)


def test_send_now_past_the_expiry_is_refused_with_the_field():
    found = decided(seen(a_row(a_message(expires_at=at(NOON + 1)))), asked(a_send_now()), NOON + 1)
    assert (said(found)[0], found.answer.detail[:12]) == ("refused", "`expires_at`")


# ---- erase


def a_delivered() -> object:
    message = a_message(targets=TWO, tags=("t",), account="acc", **WHOLE)
    done = {"state": S.DELIVERED, "last_response": Response(status=200, body="thanks, Ann")}
    return replaced(a_row(message, done, done), forget_at=at(NOON))


def test_an_erasure_takes_content_addresses_and_responses_and_keeps_what_answers_repeats():
    found = decided(seen(a_delivered()), asked(an_erase()), NOW)
    row, message = found.row, found.row.message
    assert (said(found), kinds(found)) == (("accepted", MessageState.DELIVERED), ["erased"])
    assert (bytes(message.body), message.headers, message.metadata, message.content_type) == (b"", {}, {}, None)
    assert [t.to for t in message.targets] + [d.to for d in row.deliveries] == [""] * 4
    assert [d.last_response for d in row.deliveries] == [None, None]
    assert (row.erased, row.stub, row.forget_at, message.tags, message.account) == (True, True, at(NOON), ("t",), "acc")
    again = decided(seen(row), asked(a_create(a_message(targets=TWO, tags=("t",), account="acc", **WHOLE), "c2")))
    assert said(again)[0] == "accepted"


@pytest.mark.parametrize("over", [DEAD, UNKNOWN])
def test_an_erased_dead_letter_is_none_any_more(over):
    found = decided(seen(a_row(a_message(**WHOLE), over)), asked(an_erase()), NOW)
    assert (kinds(found), found.row.deliveries[0].reason) == (["discarded", "erased"], "")
    assert (found.row.forget_at, states(found.row)) == (at(NOW + POLICY.idempotency_ms), [over["state"]])
    assert said(decided(seen(found.row), asked(a_retry(), 91)))[0] == "wrong_state"


def test_what_is_not_finished_is_not_erased_and_an_erased_one_is_erased_again():
    live = decided(seen(a_row(a_message(targets=TWO), {"state": S.DELIVERED})), asked(an_erase()))
    assert (said(live)[0], kinds(live), live.row.erased) == ("wrong_state", ["refused"], False)
    once = decided(seen(a_delivered()), asked(an_erase())).row
    again = decided(seen(once), asked(an_erase("another"), 91))
    assert (said(again)[0], kinds(again), again.answer.repeated) == ("accepted", [], True)


# ---- retry


@pytest.mark.parametrize("over", [DEAD, UNKNOWN])
def test_a_retry_is_a_new_turn_due_now_and_tells(over):
    found = decided(seen(a_row(a_message(), over, forget_at=at(NOON)), epoch=EPOCH + 9), asked(a_retry()), NOW)
    (d,) = found.row.deliveries
    assert (d.state, d.due_at, d.turn, d.turn_epoch) == (S.RETRYING, at(NOW), over["turn"] + 1, EPOCH + 9)
    assert (d.by_hand, d.maybe_sent) == (ByHand(turn=over["turn"] + 1, attempts=over["attempts"]), over is UNKNOWN)
    assert (found.row.forget_at, found.row.finished_at, found.answer.deliveries) == (None, None, {"0": S.RETRYING})
    assert [(e.kind, e.turn, e.delivery_state) for e in found.events] == [("retried", d.turn, S.RETRYING)]
    assert said(found) == ("accepted", MessageState.RETRYING)


def test_after_a_retry_by_hand_the_schedule_of_delays_begins_anew():
    row = a_row(a_message(retry=Retry(delays=())), {"state": S.DEAD, "attempts": 1, "turn": 1})
    row = decided(seen(row), asked(a_retry()), NOW).row
    row = replaced(row, message=replaced(row.message, retry=None))  # the channel log: 5 s, then 60 s, then dead
    due = []
    for turn in (2, 3, 4):
        row = decided(seen(row), an_ack(RetryLater(reason="r"), turn=turn), NOON).row
        due.append((row.deliveries[0].due_at - at(NOON)).total_seconds())
    assert (5 <= due[0] < 6, 60 <= due[1] < 67) == (True, True)
    assert (states(row), row.deliveries[0].attempts) == ([S.DEAD], 4)


def test_only_the_target_that_is_named_is_tried_again_and_without_one_all_that_are_held():
    row = a_row(a_message(targets=TWO), DEAD, UNKNOWN)
    assert states(decided(seen(row), asked(a_retry(1))).row) == [S.DEAD, S.RETRYING]
    assert states(decided(seen(row), asked(a_retry())).row) == [S.RETRYING, S.RETRYING]
    mixed = a_row(a_message(targets=TWO), {"state": S.DELIVERED}, DEAD)
    assert states(decided(seen(mixed), asked(a_retry())).row) == [S.DELIVERED, S.RETRYING]


def test_other_targets_may_be_on_their_way_meanwhile():
    row = a_row(a_message(targets=TWO), DEAD)
    assert said(decided(seen(row, Mark.FREE, Mark.PERHAPS), asked(a_retry())))[0] == "accepted"


def test_a_retry_past_the_expiry_is_refused_with_the_field():
    row = a_row(a_message(expires_at=at(NOON + 1)), DEAD)
    found = decided(seen(row), asked(a_retry()), NOON + 1)
    assert (said(found)[0], found.answer.detail[:12], states(found.row)) == ("refused", "`expires_at`", [S.DEAD])


def test_a_late_ack_of_the_turn_before_the_retry_tells_nothing_and_changes_nothing():
    row = decided(seen(a_row(a_message(), DEAD)), asked(a_retry())).row
    for ack in (an_ack(Rejected(reason="400"), turn=4), an_ack(Delivered(), turn=4)):
        assert decided(seen(row), ack) == Decision()


def test_content_stays_fixed_after_a_retry_by_hand():
    row = decided(seen(a_row(a_message(), DEAD)), asked(a_retry())).row
    assert said(decided(seen(row), asked(an_edit(body=Raw(b"2")), 91)))[0] == "too_late"
    assert said(decided(seen(row), asked(an_edit(priority=9), 91)))[0] == "accepted"


def test_what_was_tried_again_comes_to_another_end_with_a_final_event_of_its_own():
    dead = decided(seen(a_row()), an_ack(Rejected(reason="400")), NOON)
    again = decided(seen(dead.row), asked(a_retry()), NOON + 1)
    end = decided(seen(again.row), an_ack(Delivered(), turn=2), NOON + 2)
    finals = [e for found in (dead, again, end) for e in found.events if e.kind == "finished"]
    assert [(e.event_id, e.state, e.at) for e in finals] == [
        ("m!70!finished!1", "dead", at(NOON)), ("m!70!finished!2", "delivered", at(NOON + 2))
    ]  # fmt: skip
    assert end.row.stub


# ---- discard


@pytest.mark.parametrize("over", [DEAD, UNKNOWN])
def test_a_discarded_one_keeps_its_state_and_is_a_stub(over):
    found = decided(seen(a_row(a_message(**WHOLE), over)), asked(a_discard()), NOW)
    assert (said(found), kinds(found)) == (("accepted", MessageState(over["state"].value)), ["discarded"])
    assert (found.row.stub, bytes(found.row.message.body), states(found.row)) == (True, b"", [over["state"]])
    assert (found.row.deliveries[0].discarded, found.row.forget_at) == (True, at(NOW + POLICY.idempotency_ms))


def test_a_message_stays_whole_while_one_target_is_held():
    row = a_row(a_message(targets=TWO, **WHOLE), DEAD, DEAD)
    one = decided(seen(row), asked(a_discard(0))).row
    assert (one.stub, bytes(one.message.body)) == (False, b'"hello"')
    two = decided(seen(one), asked(a_discard(1, "d2"), 91)).row
    assert (two.stub, [d.discarded for d in two.deliveries]) == (True, [True, True])
    assert said(decided(seen(one), asked(a_retry(0), 91)))[0] == "wrong_state"
    assert states(decided(seen(one), asked(a_retry(), 91)).row) == [S.DEAD, S.RETRYING]


def test_a_second_discard_finds_it_done():
    row = decided(seen(a_row(a_message(), DEAD)), asked(a_discard())).row
    again = decided(seen(row), asked(a_discard(None, "another"), 91), NOW + 5)
    assert (said(again)[0], kinds(again), again.answer.repeated) == ("accepted", [], True)
    assert again.row.forget_at == row.forget_at


# ---- mark sent


@pytest.mark.parametrize("over", [DEAD, UNKNOWN])
def test_what_is_marked_as_sent_is_delivered_and_says_by_whose_word(over):
    found = decided(seen(a_row(a_message(**WHOLE), over)), asked(a_mark_sent()), NOW)
    (d,) = found.row.deliveries
    assert (d.state, d.turn, d.maybe_sent, d.reason) == (S.DELIVERED, over["turn"] + 1, False, "marked as sent by hand")
    assert [(e.kind, e.reason) for e in found.events] == [("delivered", "marked as sent by hand"), ("finished", "")]
    assert (said(found), found.row.stub, found.row.finished_at) == (("accepted", MessageState.DELIVERED), True, at(NOW))


def test_one_of_many_marked_as_sent_makes_it_partial():
    found = decided(seen(a_row(a_message(targets=TWO), DEAD, DEAD)), asked(a_mark_sent(1)))
    assert (said(found), found.row.stub) == (("accepted", MessageState.PARTIAL), False)
    assert found.answer.deliveries == {"0": S.DEAD, "1": S.DELIVERED}


# ---- all three


@pytest.mark.parametrize("command", BY_HAND)
@pytest.mark.parametrize("state", sorted(set(S) - {S.DEAD, S.UNKNOWN, S.EMITTED}))
def test_what_is_neither_dead_nor_unknown_is_in_the_wrong_state(command, state):
    found = decided(seen(a_row(a_message(), {"state": state})), asked(command()))
    assert (said(found), kinds(found), states(found.row)) == (
        ("wrong_state", MessageState(state)),
        ["refused"],
        [state],
    )
    assert found.answer.detail.startswith(f"target 0 is {state}")


@pytest.mark.parametrize("command", BY_HAND)
def test_a_target_that_is_not_there_is_refused_with_the_field(command):
    found = decided(seen(a_row(a_message(targets=TWO), DEAD, DEAD)), asked(command(2)))
    assert (said(found)[0], found.answer.detail) == ("refused", "`target` is 2: the message has targets 0 to 1")


@pytest.mark.parametrize("command", [*(c() for c in BY_HAND), a_send_now(), an_erase()])
def test_what_was_not_there_is_not_found_and_remembered(command):
    found = decided(seen(None), asked(command))
    assert (said(found)[0], found.writes, found.remember.command_id) == ("not_found", False, command.command_id)


HELD = a_row(a_message(targets=TWO, **WHOLE), DEAD, UNKNOWN)
COMMANDS = [
    (a_row(), asked(a_send_now())),
    (a_row(a_message(), DEAD), asked(a_send_now())),
    (a_delivered(), asked(an_erase())),
    (HELD, asked(an_erase())),
    (a_row(), asked(an_erase())),
    *((HELD, asked(c())) for c in BY_HAND),
    *((HELD, asked(c(1))) for c in BY_HAND),
    *((HELD, asked(c(7))) for c in BY_HAND),
    *((a_row(), asked(c())) for c in BY_HAND),
]


@pytest.mark.parametrize(("row", "command"), COMMANDS)
def test_a_replay_decides_nothing_anew_and_tells_and_answers_the_same(row, command):
    first = decided(seen(row), command, NOW)
    again = decided(seen(first.row), command, NOW + 3_600_000)
    assert (again.writes, again.row) == (False, None)
    assert again.answer == replaced(first.answer, repeated=True)
    assert [e.event_id for e in again.events] == [e.event_id for e in first.events]


def test_a_replayed_retry_tells_nothing_of_a_later_turn():
    row = decided(seen(a_row(a_message(), DEAD)), asked(a_retry()), NOW).row
    row = decided(seen(row), an_ack(RetryLater(reason="r"), turn=5), NOON).row
    assert decided(seen(row), asked(a_retry())).events == ()


def test_a_message_acted_on_by_hand_is_still_looked_at_cancelled_and_forgotten_as_any():
    row = decided(seen(a_row(a_message(), DEAD)), asked(a_retry()), NOW).row
    assert said(decided(seen(row), asked(a_look())))[1] == MessageState.RETRYING
    assert said(decided(seen(row), asked(a_cancel(), 91))) == ("cancelled", MessageState.CANCELLED)
    gone = decided(seen(a_row(a_message(), DEAD)), asked(a_discard()), NOW).row
    assert decided(seen(gone), Forgotten("m"), NOW + POLICY.idempotency_ms) == Decision(writes=True)
    assert gone.birth == BIRTH
