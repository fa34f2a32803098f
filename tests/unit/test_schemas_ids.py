"""Ids and the keys made of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import delivery_key, id_fault, routing_key


@pytest.mark.parametrize(
    ("message_id", "key"),
    [("m", "m"), ("s@2026-01-01T00:00:00Z", "s"), ("a@b@c", "a@b"), ("@x", ""), ("s@x!manual", "s"), ("", "")],
)
def test_an_occurrence_lives_with_its_schedule(message_id, key):
    assert routing_key(message_id) == key


@given(st.text(), st.text(st.characters(exclude_characters="@")))
def test_all_occurrences_have_their_schedules_routing_key(schedule, time):
    assert routing_key(f"{schedule}@{time}") == schedule


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "empty"), ("x" * 201, "201 characters"), ("a\nb", "unprintable"), ("a@b", "'@'"), ("a!b", "'!'")],
)
def test_what_no_user_may_choose_is_said_with_a_remedy(text, said):
    fault = id_fault(text)
    assert fault is not None
    assert said in fault
    assert ":" in fault


@pytest.mark.parametrize("text", ["x", "x" * 200, "post 4711/ä-日本", "#?&%"])
def test_what_is_printable_may_be_an_id(text):
    assert id_fault(text) is None


def test_a_delivery_key_is_of_a_message_and_a_target():
    assert delivery_key("s@2026-01-01T00:00:00Z", 3) == "s@2026-01-01T00:00:00Z/3"
