"""The states of deliveries and messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.lifecycle import (
    HELD_WHOLE,
    LIVE,
    Delivered,
    DeliveryState,
    Doubt,
    GiveUp,
    Lapse,
    MessageState,
    Moved,
    PutOff,
    Resume,
    RetryAt,
    Stop,
    Vouch,
    is_finished,
    message_state,
    transition,
)

S = DeliveryState
MOVES = (Delivered(), RetryAt(7), GiveUp(), PutOff(7), Lapse(), Stop(), Doubt())
BY_HAND = (Resume(7), Vouch())


@pytest.mark.parametrize(
    ("move", "maybe_sent", "attempts", "expected"),
    [
        (Delivered(), True, 1, Moved(S.DELIVERED)),
        (RetryAt(7), True, 1, Moved(S.RETRYING, 7)),
        (PutOff(7), False, 0, Moved(S.SCHEDULED, 7)),
        (PutOff(7), False, 1, Moved(S.RETRYING, 7)),
        (GiveUp(), True, 1, Moved(S.DEAD)),
        (Lapse(), False, 1, Moved(S.EXPIRED)),
        (Lapse(), True, 1, Moved(S.UNKNOWN)),
        (Stop(), False, 1, Moved(S.CANCELLED)),
        (Stop(), True, 1, Moved(S.UNKNOWN)),
        (Doubt(), True, 0, Moved(S.UNKNOWN)),
    ],
)
def test_where_a_move_takes_a_live_delivery(move, maybe_sent, attempts, expected):
    for state in LIVE:
        assert transition(state, move, maybe_sent=maybe_sent, attempts=attempts) == expected


@given(st.sampled_from(sorted(set(S) - LIVE)), st.sampled_from(MOVES), st.booleans(), st.integers(0, 9))
def test_nothing_moves_a_finished_delivery_by_itself(state, move, maybe_sent, attempts):
    assert transition(state, move, maybe_sent=maybe_sent, attempts=attempts) is None


@pytest.mark.parametrize("state", sorted(S))
def test_a_person_moves_only_what_is_dead_or_unknown(state):
    moved = [transition(state, move, maybe_sent=True, attempts=1) for move in BY_HAND]
    assert moved == ([Moved(S.RETRYING, 7), Moved(S.DELIVERED)] if state in HELD_WHOLE else [None, None])


@given(st.sampled_from(sorted(LIVE)), st.lists(st.tuples(st.sampled_from(MOVES), st.booleans())))
def test_any_sequence_of_moves_stays_where_it_first_ended(state, moves):
    ended = None
    for n, (move, maybe_sent) in enumerate(moves):
        moved = transition(state, move, maybe_sent=maybe_sent, attempts=n)
        assert (moved is None) == (ended is not None)
        state = moved.state if moved else state
        ended = ended or (state if state not in LIVE else None)
    assert ended is None or state is ended


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([S.SCHEDULED], MessageState.SCHEDULED),
        ([S.DELIVERED, S.DELIVERED], MessageState.DELIVERED),
        ([S.SCHEDULED, S.DELIVERED], MessageState.SCHEDULED),
        ([S.SCHEDULED, S.RETRYING, S.DEAD], MessageState.RETRYING),
        ([S.SCHEDULED, S.RETRYING, S.EMITTED], MessageState.EMITTED),
        ([S.DELIVERED, S.UNKNOWN], MessageState.PARTIAL),
        ([S.CANCELLED, S.EXPIRED, S.DEAD, S.UNKNOWN], MessageState.UNKNOWN),
        ([S.CANCELLED, S.EXPIRED, S.DEAD], MessageState.DEAD),
        ([S.CANCELLED, S.EXPIRED], MessageState.EXPIRED),
    ],
)
def test_a_message_in_one_word(states, expected):
    assert message_state(states) == message_state(reversed(states)) == expected


@given(st.lists(st.sampled_from(S), min_size=1))
def test_a_message_is_finished_when_its_word_is_of_no_live_state(states):
    assert is_finished(states) == (message_state(states).value not in {s.value for s in LIVE})
