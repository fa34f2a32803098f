"""Due minutes: exact counts, and where a window is in its life."""

from collections import Counter

import pytest
from builders import MINUTE, NOON, a_message, a_row, replaced
from hypothesis import given
from hypothesis import strategies as st

from schemas.lifecycle import DeliveryState
from schemas.message import Target
from schemas.times import at
from schemas.windows import (
    COUNTED,
    LATENESS_MS,
    LATENESS_PLACE,
    NOTHING,
    PLACE,
    WindowLife,
    added,
    count_changes,
    lateness_place,
    life,
    minute_of,
    quantile_ms,
    summed,
)

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
        found = {(m, COUNTED[p]): n for m, c in counts.items() for p, n in enumerate(c[:LATENESS_PLACE]) if n}
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


def a_window(*late_ms: int):
    counts = NOTHING
    for ms in late_ms:
        counts = added(counts, lateness_place(ms), 1)
    return counts


@pytest.mark.parametrize(
    ("late_ms", "bound"),
    [(0, 5), (5, 5), (6, 10), (999, 1_000), (7_200_000, 7_200_000)],
)
def test_a_lateness_is_counted_under_the_first_bound_that_it_does_not_exceed(late_ms, bound):
    assert LATENESS_MS[lateness_place(late_ms) - LATENESS_PLACE] == bound


def test_what_is_later_than_every_bound_has_a_bucket_of_its_own():
    assert lateness_place(7_200_001) == len(NOTHING) - 1


@pytest.mark.parametrize(
    ("late_ms", "q", "expected"),
    [
        ((), 0.5, None),
        ((3,), 0.5, 5),
        ((3, 3, 3, 80), 0.5, 5),  # half of 4 is 2: within the first bucket
        ((3, 3, 3, 80), 0.99, 100),  # 3.96 of 4: the fourth
        ((9_000_000,), 0.99, 7_200_000),
    ],
)
def test_a_quantile_is_the_bound_of_its_bucket(late_ms, q, expected):
    assert quantile_ms(a_window(*late_ms), q) == expected


def test_partitions_are_summed_place_by_place():
    assert summed([a_window(3, 80), a_window(3)]) == a_window(3, 3, 80)
    assert summed([]) == NOTHING


def test_a_first_attempt_is_counted_once_in_the_window_of_its_message():
    before = a_row_in(0, S.SCHEDULED, S.SCHEDULED)
    first = replaced(before.deliveries[0], state=S.RETRYING, late_ms=80)
    after = replaced(before, deliveries=(first, before.deliveries[1]))
    again = replaced(after, deliveries=(replaced(first, state=S.DELIVERED), before.deliveries[1]))
    counts = NOTHING
    for old, new in ((before, after), (after, again)):
        for _, place, by in count_changes(old, new):
            counts = added(counts, place, by)
    assert counts[LATENESS_PLACE:] == a_window(80)[LATENESS_PLACE:]
