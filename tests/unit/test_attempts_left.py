"""How many attempts are left, as the API tells it: as many as its owner then allows."""

from datetime import timedelta

import pytest
from builders import MINUTE, NOON, POLICY, a_message, a_retry, a_row, an_ack, asked, decided, seen

from gateway.answers import view
from schemas.message import Retry
from schemas.outcomes import RetryLater
from schemas.times import at

OWN = Retry(delays=(timedelta(seconds=1),) * 4)


def left(row):
    """What the API says of the first target."""
    return view(row, row.state, at(NOON), POLICY.delays_ms).deliveries[0]["attempts_left"]


def failed(row):
    """After one more attempt."""
    d = row.deliveries[0]
    ack = an_ack(RetryLater(reason="503"), turn=d.turn)
    return decided(seen(row), ack, NOON + MINUTE).row


def told_until_dead(row):
    """What is said before each attempt, and at the end."""
    said = []
    while row.state != "dead":
        said.append(left(row))
        row = failed(row)
    return row, [*said, left(row)]


@pytest.mark.parametrize(("retry", "count"), [(None, 3), (OWN, 5), (Retry(delays=()), 1)])
def test_it_counts_down_to_the_last_attempt_by_the_channels_schedule_or_the_messages_own(retry, count):
    dead, said = told_until_dead(a_row(a_message(retry=retry)))
    assert said == [*range(count, 0, -1), None]
    assert dead.deliveries[0].attempts == count


def test_a_retry_by_hand_begins_anew():
    dead, _ = told_until_dead(a_row())
    again = decided(seen(dead), asked(a_retry()), NOON + MINUTE).row
    assert told_until_dead(again)[1] == [3, 2, 1, None]


def test_of_a_channel_that_is_not_known_here_it_is_not_known():
    row = a_row()
    assert view(row, row.state, at(NOON), {}).deliveries[0]["attempts_left"] is None
