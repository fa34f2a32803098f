"""What becomes of a courier's answer, of a lapse, and of any order of them and commands."""

from datetime import timedelta

import pytest
from builders import (
    BIRTH,
    EPOCH,
    MINUTE,
    NOON,
    POLICY,
    a_cancel,
    a_content,
    a_message,
    a_row,
    an_ack,
    an_edit,
    asked,
    decided,
    replaced,
    seen,
    states,
)
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from schemas.decide import decide
from schemas.decisions import Acked, Asked, Decision, Lapsed, Mark, Wait
from schemas.lifecycle import LIVE, DeliveryState
from schemas.message import Retry, Target
from schemas.outcomes import Deferred, Delivered, Expired, Rejected, Response, RetryLater, Stale, Unknown
from schemas.times import at, ms_of

S = DeliveryState
NOW = NOON + 30
TWO = (Target(channel="log"), Target(channel="log"))
MAYBE = {"maybe_sent": True}
RESPONSE = Response(status=500)


@pytest.mark.parametrize(
    ("result", "before", "state", "turn", "attempts", "maybe_sent", "kinds"),
    [
        (Delivered(), {}, S.DELIVERED, 1, 1, False, ["delivered", "finished"]),
        (Delivered(), MAYBE, S.DELIVERED, 1, 1, False, ["delivered", "finished"]),
        (RetryLater(reason="r"), {}, S.RETRYING, 2, 1, False, ["retrying"]),
        (RetryLater(reason="r", maybe_sent=True), {}, S.RETRYING, 2, 1, True, ["retrying"]),
        (RetryLater(reason="r"), MAYBE, S.RETRYING, 2, 1, True, ["retrying"]),  # what may be sent stays so
        (RetryLater(reason="r"), {"attempts": 2}, S.DEAD, 1, 3, False, ["dead", "finished"]),  # two delays: 3 attempts
        (Rejected(reason="r"), {}, S.DEAD, 1, 1, False, ["dead", "finished"]),
        (Deferred(until=at(NOON + 900)), {}, S.SCHEDULED, 2, 0, False, ["deferred"]),
        (Deferred(until=at(NOON + 900)), {"attempts": 1, "state": S.RETRYING}, S.RETRYING, 2, 1, False, ["retrying"]),
        (Stale(), {}, S.SCHEDULED, 2, 0, False, ["deferred"]),
        (Expired(), {}, S.EXPIRED, 1, 0, False, ["expired", "finished"]),
        (Expired(maybe_sent=True), {}, S.UNKNOWN, 1, 0, True, ["unknown", "finished"]),
        (Expired(), MAYBE, S.UNKNOWN, 1, 0, True, ["unknown", "finished"]),
        (Unknown(reason="r"), {}, S.UNKNOWN, 1, 1, True, ["unknown", "finished"]),
    ],
)
def test_what_each_outcome_makes_of_a_delivery(result, before, state, turn, attempts, maybe_sent, kinds):
    found = decided(seen(a_row(a_message(), before), Mark.EMITTED), an_ack(result), NOW)
    (d,) = found.row.deliveries
    assert (d.state, d.turn, d.attempts, d.maybe_sent) == (state, turn, attempts, maybe_sent)
    assert [e.kind for e in found.events] == kinds
    assert all(e.turn in (1, None) for e in found.events), "told with the turn of the attempt"
    assert bool(found.dead) is (state in (S.DEAD, S.UNKNOWN))


@pytest.mark.parametrize(
    ("result", "before", "due_from", "due_to"),
    [
        (RetryLater(reason="r"), {}, NOW + 5_000, NOW + 5_500),  # 5 s and a tenth of jitter
        (RetryLater(reason="r"), {"attempts": 1}, NOW + 60_000, NOW + 66_000),
        (RetryLater(reason="r", after_ms=20_000), {}, NOW + 20_000, NOW + 22_000),
        (RetryLater(reason="r", after_ms=1), {}, NOW + 5_000, NOW + 5_500),
        (Deferred(until=at(NOON + 900)), {}, NOON + 900, NOON + 900),
        (Stale(), {}, NOON, NOON),  # emitted afresh at once
    ],
)
def test_when_a_delivery_is_due_again(result, before, due_from, due_to):
    row = decided(seen(a_row(a_message(), before), epoch=EPOCH + 5), an_ack(result), NOW).row
    assert due_from <= ms_of(row.deliveries[0].due_at) <= due_to
    assert row.deliveries[0].turn_epoch == row.epoch == EPOCH + 5
    assert row.message.due_at == at(NOON), "the window stays"


def test_the_messages_own_delays_stand_in_place_of_the_channels():
    row = a_row(a_message(retry=Retry(delays=(timedelta(seconds=1),))))
    first = decided(seen(row), an_ack(RetryLater(reason="r")), NOW).row
    assert NOW + 1_000 <= ms_of(first.deliveries[0].due_at) <= NOW + 1_100
    last = decided(seen(first), an_ack(RetryLater(reason="r"), turn=2), NOW)
    assert states(last.row) == [S.DEAD]
    none = decided(seen(a_row(a_message(retry=Retry(delays=())))), an_ack(RetryLater(reason="r")), NOW)
    assert states(none.row) == [S.DEAD], "no delays: one attempt"


def test_an_attempt_leaves_its_times_and_its_response():
    row = decided(seen(a_row()), an_ack(RetryLater(reason="busy", response=RESPONSE)), NOW).row
    d = row.deliveries[0]
    assert (d.first_attempt_at, d.last_attempt_at, d.last_response, d.reason) == (at(NOON), at(NOON), RESPONSE, "busy")
    row = decided(seen(row), an_ack(Deferred(until=at(NOON)), turn=2, started_at=None), NOW).row
    assert (row.deliveries[0].last_attempt_at, row.deliveries[0].last_response) == (at(NOON), RESPONSE), "no attempt"
    row = decided(seen(row), an_ack(Delivered(), turn=3, started_at=at(NOON + 9)), NOW).row
    d = row.deliveries[0]
    assert (d.first_attempt_at, d.last_attempt_at, d.last_response) == (at(NOON), at(NOON + 9), None)


def test_a_dead_letter_is_whole_and_its_row_stays_whole_for_a_person():
    row = a_row(a_message(body=Raw(b'{"a":1}'), headers={"h": "v"}))
    found = decided(seen(row), an_ack(Rejected(reason="410", response=RESPONSE)), NOW)
    assert (found.row.stub, found.row.message, found.row.forget_at) == (
        False, row.message, at(NOW + POLICY.held_whole_ms)
    )  # fmt: skip
    (letter,) = found.dead
    assert (letter.id, letter.target, letter.state, letter.reason) == ("m", 0, S.DEAD, "410")
    assert letter.row.message == row.message
    assert letter.row.deliveries[0].last_response == RESPONSE


def test_a_delivered_message_leaves_a_stub():
    found = decided(seen(a_row(a_message(body=Raw(b"1"), headers={"h": "v"}, metadata={"k": 1}))), an_ack(), NOW)
    assert (found.row.stub, found.row.message, found.row.forget_at) == (
        True, a_content(), at(NOW + POLICY.idempotency_ms)
    )  # fmt: skip


def test_a_message_of_many_is_finished_when_all_are():
    first = decided(seen(a_row(a_message(targets=TWO))), an_ack(target=1), NOW)
    assert (states(first.row), [e.kind for e in first.events], first.row.stub) == (
        [S.SCHEDULED, S.DELIVERED], ["delivered"], False
    )  # fmt: skip
    last = decided(seen(first.row), an_ack(Rejected(reason="r")), NOW)
    assert ([e.kind for e in last.events], last.row.state) == (["dead", "finished"], "partial")
    assert not last.row.stub, "a person may still retry the dead one"


# ---- stale and repeated acks


LIVE_ROW = a_row(a_message(), {"turn": 3, "state": S.RETRYING, "attempts": 2})


@pytest.mark.parametrize(
    "ack",
    [
        an_ack(turn=1),
        an_ack(turn=4),
        an_ack(birth=BIRTH - 1, turn=3),
        an_ack(target=1, turn=3),
    ],
)
def test_an_ack_of_another_turn_birth_or_target_changes_nothing(ack):
    assert decided(seen(LIVE_ROW), ack, NOW) == Decision()


def test_an_ack_of_nothing_changes_nothing():
    assert decided(seen(None), an_ack(), NOW) == Decision()


@pytest.mark.parametrize("state", sorted(set(S) - LIVE))
def test_an_ack_of_a_finished_delivery_changes_nothing(state):
    found = decided(seen(a_row(a_message(), {"state": state})), an_ack(Rejected(reason="late")), NOW)
    assert (found.writes, found.row) == (False, None)


@pytest.mark.parametrize(
    "result",
    [
        Delivered(),
        RetryLater(reason="r"),
        Rejected(reason="r"),
        Deferred(until=at(NOON + 9)),
        Stale(),
        Expired(),
        Unknown(reason="r"),
    ],
)
def test_a_repeated_ack_writes_nothing_and_tells_the_same_events_again(result):
    first = decided(seen(a_row()), an_ack(result), NOW)
    again = decided(seen(first.row), an_ack(result), NOW + 60_000)
    assert (again.writes, again.row) == (False, None)
    assert [e.event_id for e in again.events] == [e.event_id for e in first.events]
    assert [(d.id, d.state) for d in again.dead] == [(d.id, d.state) for d in first.dead]


# ---- expiry


EXPIRING = a_message(expires_at=at(NOON + 100))


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({}, NOON + 100, [S.EXPIRED]),
        (MAYBE, NOON + 100, [S.UNKNOWN]),
        ({"state": S.RETRYING, "attempts": 1}, NOON + 100, [S.EXPIRED]),
        ({}, NOON + 99, []),  # not yet
        ({"state": S.DELIVERED}, NOON + 100, []),
    ],
)
def test_a_lapsed_delivery_expires(before, now, expected):
    found = decided(seen(a_row(EXPIRING, before)), Lapsed("m", 0), now)
    assert states(found.row) == expected
    assert found.writes is bool(expected)


def test_a_lapse_is_looked_at_again_since_an_edit_may_have_come_between():
    row = decided(seen(a_row(EXPIRING)), asked(an_edit(expires_at=None))).row
    assert decided(seen(row), Lapsed("m", 0), NOON + 100) == Decision()
    assert decided(seen(None), Lapsed("m", 0), NOON + 100) == Decision()


# ---- laws


outcomes = st.sampled_from(
    [
        Delivered(),
        RetryLater(reason="r"),
        RetryLater(reason="r", maybe_sent=True),
        Rejected(reason="r"),
        Deferred(until=at(NOON)),
        Stale(),
        Expired(),
        Unknown(reason="r"),
    ]
)
marks = st.sampled_from([Mark.FREE, Mark.EMITTED, Mark.PRODUCING, Mark.PERHAPS])
inputs = st.lists(
    st.one_of(
        st.builds(lambda n, p: asked(an_edit(f"e{n}", priority=p), 80 + n), st.integers(0, 5), st.integers(0, 9)),
        st.builds(lambda n, late: asked(an_edit(f"t{n}", due_at=at(NOON + late)), 80 + n), st.integers(0, 5), st.integers(1, 9)),
        st.builds(lambda n: asked(a_cancel(f"c{n}"), 90 + n), st.integers(0, 2)),
        st.builds(lambda r, turn, target: an_ack(r, turn=turn, target=target), outcomes, st.integers(1, 4), st.integers(0, 1)),
        st.builds(lambda target: Lapsed("m", target), st.integers(0, 1)),
    ),
    max_size=12,
)  # fmt: skip


@given(inputs, st.lists(st.tuples(marks, marks), min_size=12, max_size=12), st.booleans())
def test_any_order_of_edits_cancels_acks_and_lapses_keeps_the_laws(given_, seen_marks, expires):
    row = a_row(a_message(targets=TWO, expires_at=at(NOON + 1_000) if expires else None))
    answers = {}
    for n, (input_, pair) in enumerate(zip(given_, seen_marks, strict=False)):
        now = NOON - MINUTE + n * MINUTE
        found = decide(seen(row, *pair), input_, now, POLICY)
        if isinstance(found, Wait):
            assert isinstance(input_, Asked)
            assert {Mark.PRODUCING, Mark.PERHAPS} & set(pair)
            continue
        if isinstance(input_, Asked):
            first = answers.setdefault(input_.command.command_id, found.answer)
            assert found.answer == replaced(first, repeated=found.answer.repeated), "one command, one answer"
        if found.writes:
            lawful(row, found.row, input_, pair)
            again = decide(seen(found.row, *pair), input_, now + 1, POLICY)
            assert not again.writes, "a replay decides nothing anew"
            row = found.row


def lawful(old, new, input_, pair):
    assert (new.birth, new.id, new.original) == (old.birth, old.id, old.original)
    assert new.revision - old.revision in (0, 1)
    for before, after, mark in zip(old.deliveries, new.deliveries, pair, strict=True):
        if before.state not in LIVE:
            assert after == before, "what is finished stays as it is"
        assert after.turn - before.turn in (0, 1)
        assert after.state is not S.EMITTED
        if after.turn > before.turn:
            assert after.state in LIVE
        if isinstance(input_, Asked) and mark is Mark.EMITTED:
            assert after == before, "what was handed over is not touched by a command"
        if before.maybe_sent and after.state is not S.DELIVERED:
            assert after.maybe_sent
            assert after.state not in (S.CANCELLED, S.EXPIRED)
    if new.stub:
        assert new.finished
        assert not {S.DEAD, S.UNKNOWN} & set(states(new))


@given(st.permutations([asked(an_edit(priority=1), 80), asked(a_cancel(), 81), an_ack(), an_ack(Rejected(reason="r"))]))
def test_edit_cancel_and_acks_in_any_order_end_in_one_final_state(order):
    row, ended = a_row(), None
    for input_ in order:
        row = decided(seen(row), input_, NOW).row or row
        ended = ended or (states(row) if row.finished else None)
    assert ended is not None
    assert states(row) == ended
    expected = next(
        {"Cancel": S.CANCELLED, "Delivered": S.DELIVERED, "Rejected": S.DEAD}[kind] for kind in kinds_that_count(order)
    )
    assert ended == [expected]


def kinds_that_count(order):
    """An accepted edit begins a new turn: the acks after it are of the old one."""
    turn = 1
    for input_ in order:
        if isinstance(input_, Acked) and turn == 1:
            yield type(input_.ack.result).__name__
        elif isinstance(input_, Asked) and type(input_.command).__name__ == "Cancel":
            yield "Cancel"
        elif isinstance(input_, Asked):
            turn = 2


@pytest.mark.parametrize(
    ("before", "result", "late_ms"),
    [
        ({}, Delivered(), 30),
        ({}, RetryLater(reason="r"), 30),
        ({}, Deferred(until=at(NOON + 900)), None),  # not tried
        ({"due_at": at(NOON + 10)}, Delivered(), 20),  # it was put off: late against its slot
        ({"due_at": at(NOON + 60)}, Delivered(), 0),
        ({"attempts": 1, "late_ms": 7, "first_attempt_at": at(NOON + 7)}, Delivered(), 7),  # the first attempt counts
    ],
)
def test_how_late_a_delivery_was_is_told_by_its_first_attempt(before, result, late_ms):
    after = decided(seen(a_row(None, before)), an_ack(result, started_at=at(NOON + 30)), NOW).row
    assert after is not None
    assert after.deliveries[0].late_ms == late_ms
