"""Definitions, occurrences and what becomes of those that give way."""

from datetime import UTC, datetime

import msgspec
import pytest
from builders import MINUTE, NOON, an_occurrence, decided, seen, states

from gateway.problems import ProblemError
from gateway.requests import NewMessage, decoded
from schemas.decisions import Lapsed, Mark, Withheld
from schemas.lifecycle import DeliveryState
from schemas.occurrence import MISSED_MARK, SKIPPED_MARK
from schemas.rows import expires_of
from schemas.schedule import Definition, NewDefinition
from schemas.schedule_rows import nominal_of
from schemas.times import at
from schemas.wire import Fault, read_commands

NIGHTLY = {"recurrence": {"cron": "0 2 * * *"}, "message": {"channel": "log", "body": {"b": 1, "a": [2]}}}


def definition(**over) -> NewDefinition:
    return msgspec.json.decode(msgspec.json.encode(NIGHTLY | over), type=NewDefinition)


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"message": {"body": "x"}}, "`message.channel` is missing"),
        ({"message": {"channel": "log", "headers": {"authorization": "Basic x"}}}, "`message.headers`"),
        ({"message": {"channel": "log", "expires_after": "PT0S"}}, "`message.expires_after`"),
        ({"message": {"channel": "log", "due_at": "2027-01-01T00:00:00Z"}}, "unknown field `due_at`"),
        ({"catch_up": "P999D"}, "`catch_up`"),
        ({"jitter": "P2D"}, "`jitter`"),
        ({"start": "2027-01-02T00:00:00Z", "end": "2027-01-01T00:00:00Z"}, "`end` is before `start`"),
        ({"count": 0}, "count"),
        ({"overlap": "maybe"}, "overlap"),
    ],
)
def test_a_definition_that_cannot_be_is_refused_by_name(over, said):
    with pytest.raises(msgspec.ValidationError, match=said):
        definition(**over)


def test_a_definition_comes_back_from_its_bytes_as_it_was():
    made = definition(timezone="Europe/Rome", jitter="PT5M")
    kept = made.accepted()
    assert msgspec.json.decode(msgspec.json.encode(kept), type=Definition) == kept
    assert bytes(kept.message.body) == b'{"b":1,"a":[2]}'


def test_nobody_but_a_schedule_makes_an_occurrence():
    of = b'"occurrence":{"schedule":"s","nominal":"2027-01-01T00:00:00Z"}'
    body = b'{"id":"m","due_at":"2027-01-01T00:00:00Z","channel":"log",' + of + b"}"
    with pytest.raises(ProblemError) as told:
        decoded(body, NewMessage)
    assert told.value.details.errors[0].field == "occurrence"
    (fault,) = read_commands(b'{"kind":"create","command_id":"c","message":' + body + b"}")
    assert isinstance(fault, Fault)


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("2026-11-24T02:00:00Z", datetime(2026, 11, 24, 2, tzinfo=UTC)),
        ("2026-11-24T02:00:00.120Z!manual", datetime(2026, 11, 24, 2, 0, 0, 120_000, tzinfo=UTC)),
        ("2026-11-24T02:00:00.120Z", None),  # not in the one form that names an occurrence
        ("2026-11-24T03:00:00+01:00", None),
        ("2026-11-24T02:00:00", None),
        ("2026-11-24T02:00:00Z!finished", None),
        ("tomorrow", None),
    ],
)
def test_the_instant_in_an_occurrences_id(key, wanted):
    assert nominal_of(key) == wanted


def test_a_run_that_is_not_begun_in_time_is_missed_and_one_that_was_put_off_is_not():
    row = an_occurrence()
    (d,) = row.deliveries
    assert expires_of(row.message, d) == at(NOON + MINUTE)
    later = msgspec.structs.replace(d, due_at=at(NOON + 9 * MINUTE))
    tried = msgspec.structs.replace(d, attempts=1)
    assert expires_of(row.message, later) is expires_of(row.message, tried) is None


def test_a_lapsed_run_says_that_it_was_missed():
    decision = decided(seen(an_occurrence()), Lapsed("m", 0), NOON + 2 * MINUTE)
    assert states(decision.row) == [DeliveryState.EXPIRED]
    assert decision.row.deliveries[0].reason.startswith(MISSED_MARK)


def test_a_run_that_gives_way_ends_where_nothing_of_it_was_handed_over():
    skipped = decided(seen(an_occurrence()), Withheld("m", f"{SKIPPED_MARK}n is not finished"), NOON)
    missed = decided(seen(an_occurrence()), Withheld("m", f"{MISSED_MARK}only the latest runs"), NOON)
    assert (states(skipped.row), states(missed.row)) == ([DeliveryState.CANCELLED], [DeliveryState.EXPIRED])
    assert skipped.events[0].reason == "skipped: n is not finished"


def test_a_run_that_may_have_been_handed_over_is_put_to_the_couriers_as_too_late():
    decision = decided(seen(an_occurrence(), Mark.PERHAPS), Withheld("m", "skipped: x"), NOON)
    assert states(decision.row) == [DeliveryState.SCHEDULED]
    assert expires_of(decision.row.message, decision.row.deliveries[0]) == at(NOON)
    assert not decision.events


def test_a_run_that_was_handed_over_does_not_give_way_any_more():
    decision = decided(seen(an_occurrence(), Mark.EMITTED), Withheld("m", "skipped: x"), NOON)
    assert not decision.writes


def test_a_fault_in_the_message_of_a_schedule_names_its_field():
    body = msgspec.json.encode(NIGHTLY | {"message": {"channel": "log", "priority": 11}})
    with pytest.raises(ProblemError) as told:
        decoded(body, NewDefinition)
    assert told.value.details.errors[0].field == "message.priority"
