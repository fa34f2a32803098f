"""What a round counts as a missed run of a schedule, for the alert: whoever finds that it could not begin."""

from datetime import timedelta

import pytest
from builders import NOON, POLICY, a_message, a_row, an_ack, decided, replaced, seen

from agents.inbox import Item
from agents.round import Round
from schemas.decide_ack import lapsed
from schemas.occurrence import OccurrenceOf
from schemas.outcomes import Expired
from schemas.times import at

WITHIN = timedelta(seconds=60)
RUN = OccurrenceOf(schedule="beat", nominal=at(NOON), start_within=WITHIN)


def a_run(expires_at=None, occurrence=RUN):
    row = a_row(a_message(expires_at=expires_at))
    return replaced(row, message=replaced(row.message, occurrence=occurrence))


def counted(row, decision):
    made = Round(1, 0)
    made.take(Item("beat@2026-09-21T14:14:00Z", None), row, decision)
    return made.kinds


def by_the_courier(row, now_ms):
    return decided(seen(row), an_ack(Expired()), now_ms)


def by_the_owner(row, now_ms):
    return lapsed(seen(row), 0, now_ms, POLICY)


@pytest.mark.parametrize("found", [by_the_courier, by_the_owner])
def test_a_run_that_could_not_begin_in_time_is_missed_as_one_that_was_never_made(found):
    late = NOON + 61_000
    row = a_run()
    assert counted(row, found(row, late)) == {("expired", "log"): 1, ("finished", ""): 1, ("missed", ""): 1}


@pytest.mark.parametrize("found", [by_the_courier, by_the_owner])
def test_what_expired_by_its_own_time_is_not(found):
    for row in (a_run(expires_at=at(NOON + 1_000)), a_run(expires_at=at(NOON + 1_000), occurrence=None)):
        assert ("missed", "") not in counted(row, found(row, NOON + 61_000))
