"""What becomes of a command in each state of the message and its emission."""

import pytest
from builders import (
    BIRTH,
    EPOCH,
    MINUTE,
    NOON,
    POLICY,
    a_cancel,
    a_content,
    a_create,
    a_look,
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
from msgspec import Raw

from schemas.commands import Answer
from schemas.decide import decide
from schemas.decisions import Decision, Forgotten, Mark, Wait
from schemas.lifecycle import LIVE, DeliveryState, MessageState
from schemas.message import Retry, Target
from schemas.outcomes import Delivered, RetryLater
from schemas.rows import Remembered
from schemas.times import at

S = DeliveryState
FINISHED = sorted(set(S) - LIVE)
TWO = (Target(channel="log"), Target(channel="webhook", to="u"))
NOW = NOON - MINUTE


def kinds(decision: Decision) -> list[str]:
    return [event.kind for event in decision.events]


def said(decision: Decision) -> tuple[str, MessageState | None]:
    assert decision.answer is not None
    return decision.answer.result, decision.answer.state


# ---- create


def test_a_new_message_gets_a_row_an_event_and_an_answer():
    message = a_message(targets=TWO, account="acc", priority=7)
    found = decided(seen(None), asked(a_create(message), BIRTH))
    assert found.answer == Answer(
        command_id="create", id="m", result="accepted", state=MessageState.SCHEDULED, due_at=at(NOON), revision=1
    )
    assert found.row is not None
    assert (found.row.birth, found.row.epoch, found.row.message, states(found.row)) == (
        BIRTH, EPOCH, message, [S.SCHEDULED, S.SCHEDULED]
    )  # fmt: skip
    assert [(d.channel, d.to, d.flow, d.due_at, d.turn, d.turn_epoch) for d in found.row.deliveries] == [
        ("log", "", "acc", at(NOON), 1, EPOCH), ("webhook", "u", "acc", at(NOON), 1, EPOCH)
    ]  # fmt: skip
    assert [(e.event_id, e.kind, e.message) for e in found.events] == [("m!70!scheduled!1", "scheduled", message)]


@pytest.mark.parametrize(
    ("command", "at_ms", "detail"),
    [
        (a_create(a_message("a@b")), NOW, "`id` contains '@'"),
        (a_create(a_message("")), NOW, "`id` is empty"),
        (a_create(a_message("x" * 201)), NOW, "`id` has 201"),
        (a_create(a_message(channel="fax")), NOW, "`channel` 'fax' is not known here: use one of log, webhook"),
        (a_create(), NOON + 300_001, "`due_at` is 300 s in the past, 300 s are allowed"),
    ],
)
def test_a_create_that_cannot_be_is_refused_and_writes_nothing(command, at_ms, detail):
    found = decided(seen(None), asked(command, at_ms=at_ms))
    assert (found.writes, found.row, found.events) == (False, None, ())
    assert found.answer is not None
    assert (found.answer.result, found.answer.detail[: len(detail)]) == ("refused", detail)


def test_a_little_in_the_past_is_due_now_and_more_only_where_allowed():
    assert said(decided(seen(None), asked(a_create(), at_ms=NOON + 300_000)))[0] == "accepted"
    assert said(decided(seen(None), asked(a_create(allow_past=True), at_ms=NOON + 86_400_000)))[0] == "accepted"


def test_how_late_a_create_is_counts_from_its_writing_not_from_its_decision():
    assert said(decided(seen(None), asked(a_create(), at_ms=NOON), now_ms=NOON + 86_400_000))[0] == "accepted"


def test_the_same_content_again_gets_the_first_answer_and_other_content_a_conflict():
    row = a_row()
    again = decided(seen(row), asked(a_create(command_id="other"), 99))
    assert (again.writes, kinds(again), said(again)) == (False, ["scheduled"], ("accepted", MessageState.SCHEDULED))
    assert again.answer is not None
    assert again.answer.repeated
    conflict = decided(seen(row), asked(a_create(a_message(priority=9), "other"), 99))
    assert (conflict.writes, conflict.events, said(conflict)) == (False, (), ("conflict", MessageState.SCHEDULED))


def test_the_order_of_headers_and_metadata_is_no_other_content():
    first = a_message(headers={"a": "1", "b": "2"}, metadata={"x": 1, "y": {"p": 1, "q": 2}})
    again = a_message(headers={"b": "2", "a": "1"}, metadata={"y": {"q": 2, "p": 1}, "x": 1})
    assert said(decided(seen(a_row(first)), asked(a_create(again, "other"))))[0] == "accepted"


def test_a_repeat_is_compared_with_what_was_first_accepted_not_with_what_it_was_edited_to():
    row = decided(seen(a_row()), asked(an_edit(priority=9))).row
    assert said(decided(seen(row), asked(a_create(command_id="other"))))[0] == "accepted"
    assert said(decided(seen(row), asked(a_create(a_message(priority=9), "other"))))[0] == "conflict"


def test_a_finished_message_answers_repeats_from_its_stub():
    stub = decided(seen(a_row(a_message(body=Raw(b"1")))), an_ack()).row
    assert stub is not None
    assert stub.stub
    again = decided(seen(stub), asked(a_create(a_message(body=Raw(b"1")), "other")))
    assert (again.writes, said(again)) == (False, ("accepted", MessageState.SCHEDULED))


# ---- edit


def test_an_edit_makes_a_new_revision_and_turn_and_tells():
    found = decided(seen(a_row(), epoch=EPOCH + 9), asked(an_edit(due_at=at(NOON + 5), to="t")))
    assert found.row is not None
    (d,) = found.row.deliveries
    assert (found.row.revision, found.row.epoch, found.row.message) == (
        2, EPOCH + 9, a_content(due_at=at(NOON + 5), to="t")
    )  # fmt: skip
    assert (d.turn, d.turn_epoch, d.due_at, d.to) == (2, EPOCH + 9, at(NOON + 5), "t")
    assert [(e.event_id, e.kind, e.revision) for e in found.events] == [("m!70!edited!2", "edited", 2)]
    assert found.answer == Answer(
        command_id="edit", id="m", result="accepted", state=MessageState.SCHEDULED, due_at=at(NOON + 5), revision=2
    )
    assert found.row.timeline[-1].note == "due_at, to"


def test_an_edit_that_leaves_the_time_leaves_a_retry_at_its_own():
    row = a_row(a_message(), {"state": S.RETRYING, "attempts": 1, "due_at": at(NOON + 777)})
    new = decided(seen(row), asked(an_edit(priority=9))).row
    assert new is not None
    assert (new.deliveries[0].due_at, new.deliveries[0].turn, states(new)) == (at(NOON + 777), 2, [S.RETRYING])


@pytest.mark.parametrize("state", FINISHED)
@pytest.mark.parametrize("target", [0, 1])
def test_an_edit_is_too_late_when_any_target_is_finished(state, target):
    over = [{}, {}]
    over[target] = {"state": state}
    found = decided(seen(a_row(a_message(targets=TWO), *over)), asked(an_edit(priority=1)))
    assert (said(found)[0], kinds(found)) == ("too_late", ["refused"])
    assert states(found.row)[target] is state
    assert found.answer is not None
    assert f"target {target} is {state}" in found.answer.detail


@pytest.mark.parametrize("marks", [(Mark.EMITTED,), (Mark.FREE, Mark.EMITTED)])
def test_an_edit_is_too_late_when_any_target_is_emitted_and_shows_it(marks):
    found = decided(seen(a_row(a_message(targets=TWO)), *marks), asked(an_edit(priority=1)))
    assert said(found) == ("too_late", MessageState.EMITTED)
    assert states(found.row) == [S.SCHEDULED, S.SCHEDULED]  # emissions are not written


def test_an_edit_is_too_late_when_a_target_was_perhaps_sent():
    row = a_row(a_message(), {"state": S.RETRYING, "attempts": 1, "maybe_sent": True})
    assert said(decided(seen(row), asked(an_edit(due_at=at(NOON + 1))))) == ("too_late", MessageState.RETRYING)


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({"due_at": at(NOON + 1)}, "accepted"),
        ({"expires_at": at(NOON + 1)}, "accepted"),
        ({"priority": 0}, "accepted"),
        ({"retry": Retry(delays=())}, "accepted"),
        ({"body": Raw(b"2")}, "too_late"),
        ({"to": "x", "priority": 0}, "too_late"),
        ({"headers": {}}, "too_late"),
        ({"tags": ("t",)}, "too_late"),
    ],
)
def test_after_a_first_attempt_only_timing_can_be_edited(changes, result):
    row = a_row(a_message(), {"state": S.RETRYING, "attempts": 1})
    found = decided(seen(row), asked(an_edit(**changes)))
    assert said(found)[0] == result
    assert result == "accepted" or "content is fixed" in found.answer.detail


@pytest.mark.parametrize(("revision", "result"), [(1, "accepted"), (2, "revision_mismatch"), (0, "revision_mismatch")])
def test_an_edit_of_another_revision_is_refused(revision, result):
    found = decided(seen(a_row()), asked(an_edit(if_revision=revision, priority=1)))
    assert said(found)[0] == result


def test_an_edit_to_something_invalid_is_refused_with_its_field():
    found = decided(seen(a_row()), asked(an_edit(expires_at=at(NOON))))
    assert (said(found)[0], found.answer.detail[:12], found.row.revision) == ("refused", "`expires_at`", 1)


@pytest.mark.parametrize(
    ("due_ms", "allow_past", "result"),
    [
        (NOON - 300_000, False, "accepted"),  # a little in the past is due now
        (NOON - 300_001, False, "refused"),
        (NOON - 300_001, True, "accepted"),
    ],
)
def test_an_edit_far_into_the_past_is_refused_like_a_create(due_ms, allow_past, result):
    row = a_row(a_message(due_at=at(NOON + MINUTE)))
    found = decided(seen(row), asked(an_edit(due_at=at(due_ms), allow_past=allow_past), at_ms=NOON), NOON)
    assert said(found)[0] == result
    assert result == "accepted" or found.answer.detail.startswith("`due_at` is 300 s in the past")


def test_an_overdue_message_can_be_edited_in_what_is_not_its_time():
    found = decided(seen(a_row()), asked(an_edit(priority=9, due_at=at(NOON)), at_ms=NOON + 86_400_000), NOON)
    assert said(found)[0] == "accepted"


# ---- cancel


def test_a_cancel_stops_all_leaves_a_stub_and_tells():
    found = decided(seen(a_row(a_message(targets=TWO, body=Raw(b"1")))), asked(a_cancel()))
    assert said(found) == ("cancelled", MessageState.CANCELLED)
    assert found.answer.deliveries == {"0": S.CANCELLED, "1": S.CANCELLED}
    assert kinds(found) == ["cancelled", "cancelled", "finished"]
    assert (found.row.stub, bytes(found.row.message.body)) == (True, b"")
    assert found.row.forget_at == at(NOW + POLICY.idempotency_ms)


@pytest.mark.parametrize(
    ("first", "mark", "shown"),
    [
        ({"state": S.DELIVERED}, Mark.FREE, S.DELIVERED),
        ({"state": S.DEAD}, Mark.FREE, S.DEAD),
        ({}, Mark.EMITTED, S.EMITTED),
    ],
)
def test_a_cancel_stops_what_it_can_and_says_which(first, mark, shown):
    found = decided(seen(a_row(a_message(targets=TWO), first), mark, Mark.FREE), asked(a_cancel()))
    assert said(found)[0] == "partly_cancelled"
    assert found.answer.deliveries == {"0": shown, "1": S.CANCELLED}


@pytest.mark.parametrize("state", sorted(set(FINISHED) - {S.CANCELLED}))
def test_a_cancel_of_a_finished_message_is_too_late(state):
    found = decided(seen(a_row(a_message(), {"state": state})), asked(a_cancel()))
    assert said(found) == ("too_late", MessageState(state.value))


def test_a_cancel_of_what_was_handed_over_is_too_late_and_shows_it():
    found = decided(seen(a_row(), Mark.EMITTED), asked(a_cancel()))
    assert (said(found), states(found.row)) == (("too_late", MessageState.EMITTED), [S.SCHEDULED])


def test_a_cancel_of_what_was_perhaps_sent_stops_the_retries_and_ends_unknown():
    row = a_row(a_message(), {"state": S.RETRYING, "attempts": 1, "maybe_sent": True})
    found = decided(seen(row), asked(a_cancel()))
    assert (said(found), states(found.row)) == (("too_late", MessageState.UNKNOWN), [S.UNKNOWN])
    assert kinds(found) == ["unknown", "finished"]
    assert [(letter.state, letter.row.stub) for letter in found.dead] == [(S.UNKNOWN, False)]
    assert (found.row.stub, found.row.forget_at) == (False, at(NOW + POLICY.held_whole_ms))


def test_a_second_cancel_finds_it_cancelled_and_writes_nothing():
    row = decided(seen(a_row()), asked(a_cancel())).row
    again = decided(seen(row), asked(a_cancel("another"), 91))
    assert (again.writes, said(again), again.answer.repeated) == (False, ("cancelled", MessageState.CANCELLED), True)


# ---- look, and what is not there


@pytest.mark.parametrize(
    ("mark", "state"),
    [
        (Mark.FREE, S.SCHEDULED),
        (Mark.PERHAPS, S.SCHEDULED),
        (Mark.PRODUCING, S.EMITTED),
        (Mark.EMITTED, S.EMITTED),
    ],
)
def test_a_look_shows_the_row_with_emissions(mark, state):
    found = decided(seen(a_row(), mark), asked(a_look()))
    assert (found.writes, found.remember, found.answer.state) == (False, None, MessageState(state.value))
    assert states(found.answer.view) == [state]


@pytest.mark.parametrize("command", [an_edit(priority=1), a_cancel()])
def test_what_was_not_there_is_remembered_so_that_a_replay_is_answered_alike(command):
    first = decided(seen(None), asked(command, 90))
    assert (said(first)[0], first.writes) == ("not_found", False)
    assert first.remember == Remembered(command_id=command.command_id, offset=90, result="not_found")
    replay = decided(seen(None, recent=(first.remember,)), asked(command, 90))
    assert said(replay)[0] == "not_found"
    born = decided(seen(None, recent=(first.remember,)), asked(a_create(), 91)).row
    assert born.answered(command.command_id) == first.remember, "the row of a later create keeps it"


def test_a_look_at_nothing_is_not_found_and_not_remembered():
    found = decided(seen(None), asked(a_look()))
    assert found == Decision(answer=Answer(command_id="look", id="m", result="not_found"))


# ---- waiting


@pytest.mark.parametrize("command", [an_edit(priority=1), a_cancel()])
@pytest.mark.parametrize("marks", [(Mark.PRODUCING,), (Mark.PERHAPS,), (Mark.FREE, Mark.PERHAPS)])
def test_a_change_waits_while_an_emission_is_in_doubt_or_on_its_way(command, marks):
    row = a_row(a_message(targets=TWO))
    assert isinstance(decide(seen(row, *marks), asked(command), NOW, POLICY), Wait)


@pytest.mark.parametrize("mark", [Mark.PRODUCING, Mark.PERHAPS])
def test_nothing_else_waits(mark):
    row = a_row(a_message(targets=TWO), {"state": S.DELIVERED})
    assert said(decided(seen(row, Mark.FREE, mark), asked(a_look())))[0] == "found"
    assert said(decided(seen(row, Mark.FREE, mark), asked(a_create(a_message(targets=TWO), "c2"))))[0] == "accepted"
    assert said(decided(seen(row, mark, Mark.FREE), asked(a_cancel())))[0] == "partly_cancelled", "finished: no doubt"


def test_a_replay_of_an_answered_command_does_not_wait():
    row = decided(seen(a_row()), asked(an_edit(priority=1))).row
    assert said(decided(seen(row, Mark.PERHAPS), asked(an_edit(priority=1))))[0] == "accepted"


# ---- replays


COMMANDS = [
    (a_row(), asked(an_edit(priority=1))),
    (a_row(), asked(a_cancel())),
    (a_row(a_message(), {"state": S.DELIVERED}), asked(an_edit(priority=1))),
    (a_row(a_message(), {"state": S.DELIVERED}), asked(a_cancel())),
    (a_row(a_message(targets=TWO), {"state": S.DELIVERED}), asked(a_cancel())),
    (a_row(a_message(), {"state": S.RETRYING, "maybe_sent": True}), asked(a_cancel())),
    (a_row(), asked(an_edit(if_revision=5, priority=1))),
    (a_row(), asked(an_edit(expires_at=at(0)))),
    (None, asked(a_create(), BIRTH)),
]


@pytest.mark.parametrize(("row", "command"), COMMANDS)
def test_a_replay_decides_nothing_anew_and_answers_the_same(row, command):
    first = decided(seen(row), command)
    again = decided(seen(first.row), command, NOW + 3_600_000)
    assert (again.writes, again.row, again.dead) == (False, None, ())
    assert again.answer == replaced(first.answer, repeated=True)
    assert {e.event_id for e in again.events} <= {e.event_id for e in first.events}


@pytest.mark.parametrize(("row", "command"), COMMANDS)
def test_a_replay_tells_again_the_events_that_a_crash_may_have_lost(row, command):
    first = decided(seen(row), command)
    again = decided(seen(first.row), command)
    assert [e.event_id for e in again.events] == [e.event_id for e in first.events]


def test_a_row_keeps_its_first_answer_the_last_eight_and_all_that_may_be_replayed():
    row = a_row()
    for n in range(20):
        row = decided(seen(row, progress=95), asked(an_edit(f"e{n}", priority=n % 10), 80 + n)).row
    offsets = [answer.offset for answer in row.answers]
    assert offsets == [BIRTH, *range(92, 100)]
    for n in range(20, 40):
        row = decided(seen(row, progress=95), asked(an_edit(f"e{n}", priority=n % 10), 80 + n)).row
    assert [answer.offset for answer in row.answers] == [BIRTH, *range(95, 120)]


# ---- forgetting


def test_a_stub_is_forgotten_when_its_time_is_over_and_not_before():
    stub = decided(seen(a_row()), an_ack(RetryLater(reason="x"))).row
    assert decided(seen(stub), Forgotten("m"), NOW * 2) == Decision(), "a live one never"
    stub = decided(seen(a_row()), an_ack(Delivered()), NOW).row
    over = NOW + POLICY.idempotency_ms
    assert decided(seen(stub), Forgotten("m"), over - 1) == Decision()
    assert decided(seen(stub), Forgotten("m"), over) == Decision(writes=True, row=None)
    assert decided(seen(None), Forgotten("m"), over) == Decision()
