"""What an owner changed by itself and may have died before it told: told again, as it was the first time."""

import pytest
from builders import MINUTE, NOON, a_message, a_row, an_occurrence, decided, seen

from schemas.decisions import NOTHING, Lapsed, Released, Unsaid, Withheld
from schemas.lifecycle import DeliveryState
from schemas.message import Target
from schemas.occurrence import MISSED_MARK, SKIPPED_MARK
from schemas.times import at

EXPIRING = a_message(expires_at=at(NOON + 100))
TWO = a_message(targets=(Target(channel="log"), Target(channel="log")), expires_at=at(NOON + 100))
SLOT = {"slot": "flow", "due_at": at(NOON + MINUTE), "turn": 2}

ALONE = {
    "it lapsed": (a_row(EXPIRING), Lapsed("m", 0)),
    "one of two lapsed": (a_row(TWO, {}, {"state": DeliveryState.DELIVERED}), Lapsed("m", 0)),
    "it lapsed and was perhaps sent": (a_row(EXPIRING, {"maybe_sent": True, "attempts": 1}), Lapsed("m", 0)),
    "it gave way to a former run": (an_occurrence(), Withheld("m", f"{SKIPPED_MARK}n is not finished")),
    "it gave way to a later run": (an_occurrence(), Withheld("m", f"{MISSED_MARK}only the latest runs")),
    "its slot was given up": (a_row(a_message(flow="acme"), SLOT), Released("m", 0)),
    "its pause is over": (a_row(a_message(flow="acme"), {"due_at": at(NOON)}), Released("m", 0, resumed=True)),
}


@pytest.mark.parametrize("name", ALONE)
def test_what_an_owner_did_by_itself_is_told_again_as_it_was(name):
    row, given = ALONE[name]
    first = decided(seen(row), given, NOON + 100)
    again = decided(seen(first.row), Unsaid("m"), NOON + MINUTE)
    assert first.events
    assert (again.writes, again.events) == (False, first.events)
    assert [letter.target for letter in again.dead] == [letter.target for letter in first.dead]


def test_of_what_an_ack_did_only_the_end_is():
    row = a_row(a_message(), {"state": DeliveryState.DELIVERED})
    assert {event.kind for event in decided(seen(row), Unsaid("m"), NOON).events} == {"finished"}
    assert decided(seen(None), Unsaid("m"), NOON) == NOTHING
