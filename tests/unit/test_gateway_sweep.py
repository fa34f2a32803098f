"""Sweeps: what a filter must say, which commands follow, how answers are told."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from gateway.problems import ProblemError
from gateway.requests import Keyed, decoded
from gateway.sweep import CancelSweep, Orders, RescheduleSweep, check_sweep
from schemas.commands import Answer, Cancel, Edit, Look
from schemas.lifecycle import DeliveryState, MessageState
from schemas.message import Changes
from topology.archive import Match
from topology.commander_errors import AnswerUnknownError

DUE = datetime(2027, 1, 4, 8, tzinfo=UTC)
LAST = datetime(9999, 12, 30, 23, 30, tzinfo=UTC)


def orders(sweep, key="k"):
    return Orders(sweep, Keyed(key), b"")


def told(portion, *answers):
    return [msgspec.json.decode(line) for line in portion.told(answers).splitlines()]


@pytest.mark.parametrize(
    ("sweep", "field"),
    [
        (CancelSweep(), "all"),
        (CancelSweep(dry_run=True), "all"),
        (CancelSweep(due_from=DUE, due_to=DUE), "due_to"),
        (RescheduleSweep(account="a"), "due_at"),
        (RescheduleSweep(account="a", due_at=DUE, by=timedelta(hours=1)), "due_at"),
    ],
)
def test_what_cannot_be_meant_is_refused_naming_the_field(sweep, field):
    with pytest.raises(ProblemError) as fault:
        check_sweep(sweep)
    assert (fault.value.status, fault.value.details.errors[0].field) == (422, field)


@pytest.mark.parametrize(
    "sweep",
    [CancelSweep(all=True), CancelSweep(tag="t"), CancelSweep(due_to=DUE), RescheduleSweep(all=True, by=timedelta(1))],
)
def test_one_filter_or_all_is_enough(sweep):
    check_sweep(sweep)


def test_a_filter_with_a_name_that_is_not_known_is_refused():
    with pytest.raises(ProblemError, match="acount"):
        decoded(b'{"acount": "acme"}', CancelSweep)


def test_a_cancel_is_told_as_its_owner_answered():
    portion = orders(CancelSweep(all=True)).portion([Match(str(n), 1, DUE) for n in range(4)])
    assert [type(c) for c in portion.commands] == [Cancel] * 4
    answers = [
        Answer(command_id="", id="0", result="cancelled", state=MessageState.CANCELLED, deliveries={"0": DeliveryState.CANCELLED}),
        Answer(command_id="", id="1", result="too_late", state=MessageState.EMITTED, detail="it was handed over"),
        Answer(command_id="", id="2", result="not_found"),
        AnswerUnknownError.late("c", 10),
    ]  # fmt: skip
    lines = told(portion, *answers)
    assert [(x["id"], x["status"], x["result"], x.get("state")) for x in lines] == [
        ("0", 200, "cancelled", "cancelled"), ("1", 409, "too_late", "emitted"), ("2", 404, "not_found", None),
        ("3", 504, "answer_unknown", None),
    ]  # fmt: skip
    assert lines[0]["results"] == {"0": "cancelled"}


def test_what_is_moved_by_a_length_of_time_must_be_where_the_archive_knew_it():
    hour = timedelta(hours=1)
    portion = orders(RescheduleSweep(all=True, by=hour)).portion([Match("a", 3, DUE), Match("late", 1, LAST)])
    (edit,) = portion.commands
    assert edit == Edit(command_id=edit.command_id, id="a", changes=Changes(due_at=DUE + hour), if_revision=3)
    lines = told(portion, Answer(command_id="", id="a", result="revision_mismatch", detail="the revision is 4"))
    assert [(x["id"], x["status"], x["result"]) for x in lines] == [
        ("a", 412, "revision_mismatch"), ("late", 422, "invalid")
    ]  # fmt: skip


def test_what_is_moved_to_an_instant_goes_there_from_wherever_it_is():
    sweep = RescheduleSweep(all=True, due_at=DUE, allow_past=True)
    (edit,) = orders(sweep).portion([Match("a", 3, LAST)]).commands
    assert edit == Edit(command_id=edit.command_id, id="a", changes=Changes(due_at=DUE), allow_past=True)


def test_a_dry_run_looks_and_does_nothing():
    portion = orders(CancelSweep(all=True, dry_run=True)).portion([Match("a", 1, DUE), Match("b", 1, DUE)])
    assert [type(c) for c in portion.commands] == [Look] * 2


def test_a_repeat_with_its_key_asks_the_same_and_another_sweep_something_else():
    def ids(sweep, key):
        return [c.command_id for c in orders(sweep, key).portion([Match("a", 1, DUE), Match("b", 2, DUE)]).commands]

    cancel, move = CancelSweep(all=True), RescheduleSweep(all=True, due_at=DUE)
    assert ids(cancel, "k") == ids(cancel, "k")
    assert len({*ids(cancel, "k"), *ids(cancel, "l"), *ids(move, "k")}) == 6
