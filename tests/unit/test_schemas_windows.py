"""Due minutes: exact counts, and where a window is in its life."""

from collections import Counter

import pytest
from builders import MINUTE, NOON, a_message, a_row, replaced
from hypothesis import given
from hypothesis import strategies as st

from schemas.lifecycle import DeliveryState
from schemas.message import Target
from schemas.times import at
from schemas.windows import COUNTED, NOTHING, PLACE, WindowLife, added, count_changes, life, minute_of

S = DeliveryState
TWO = (Target(channel="log"), Target(channel="log"))


def a_row_in(minute: int, first: DeliveryState, second: DeliveryState):
    return a_row(a_message(due_at=at(NOON + minute * MINUTE + 17), targets=TWO), {"state": first}, {"state": second})


rows = st.builds(a_row_in, st.integers(0, 2), st.sampled_from(COUNTED), st.sampled_from(COUNTED))


@given(st.lists(rows))
def test_counts_are_exact_after_any_sequence_of_changes(sequence):
    counts, old = {}, None
    for row in sequence:
        for minute, place, by in count_changes(old, row):
            counts[minute] = added(counts.get(minute, NOTHING), place, by)
        old = row
        recount = Counter((minute_of(row), d.state) for d in row.deliveries)
        found = {(m, COUNTED[p]): n for m, c in counts.items() for p, n in enumerate(c) if n}
        assert found == recount


def test_what_is_forgotten_stays_counted():
    assert list(count_changes(a_row_in(0, S.DELIVERED, S.DEAD), None)) == []


def test_a_retry_does_not_move_the_window():
    row = a_row(a_message(due_at=at(NOON + 59_999)), {"state": S.RETRYING, "due_at": at(NOON + 10 * MINUTE)})
    assert minute_of(row) == NOON


def test_a_minute_begins_at_its_first_millisecond():
    assert minute_of(a_row(a_message(due_at=at(NOON - 1)))) == NOON - MINUTE
    assert minute_of(a_row(a_message(due_at=at(0)))) == 0


def test_emitted_ones_are_not_counted_apart():
    assert S.EMITTED not in COUNTED
    assert [PLACE[s] for s in COUNTED] == list(range(7))


LIVING = added(NOTHING, PLACE[S.RETRYING], 1)
OVER = added(NOTHING, PLACE[S.DEAD], 3)


@pytest.mark.parametrize(
    ("counts", "after_ms", "expected"),
    [
        (LIVING, -2 * MINUTE - 1, WindowLife.OPEN),  # look-ahead of two minutes
        (LIVING, -2 * MINUTE, WindowLife.ARMED),
        (OVER, -1, WindowLife.ARMED),
        (LIVING, 0, WindowLife.EMITTING),
        (OVER, MINUTE - 1, WindowLife.EMITTING),  # more may still be scheduled into it
        (OVER, MINUTE, WindowLife.CLOSED),
        (NOTHING, MINUTE, WindowLife.CLOSED),
        (LIVING, 1_000 * MINUTE, WindowLife.EMITTING),
    ],
)
def test_the_life_of_a_window(counts, after_ms, expected):
    assert life(NOON, counts, NOON + after_ms, 2 * MINUTE) is expected


def test_moving_a_message_to_another_minute_moves_its_counts():
    old = a_row_in(0, S.SCHEDULED, S.SCHEDULED)
    new = replaced(old, message=a_message(due_at=at(NOON + MINUTE), targets=TWO))
    changes = Counter()
    for minute, place, by in count_changes(old, new):
        changes[minute, place] += by
    assert changes == {(NOON, 0): -2, (NOON + MINUTE, 0): 2}
