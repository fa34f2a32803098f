"""What a list is asked for: every fault names its parameter, and a cursor is good for its own list alone."""

from datetime import UTC, datetime

import pytest

from gateway.problems import ProblemError
from gateway.queries import HELD_STATES, next_cursor, read_cursor, read_filter, read_flag, read_limit, read_order
from topology.archive import Filter, MessageKey

KEY = MessageKey(datetime(2026, 11, 24, 8, 0, 0, 123456, UTC), "post-ü 1", 7)


def test_a_filter_is_what_was_given():
    given = {"state": "scheduled, dead", "account": "a", "tag": "t", "channel": "log", "q": "post-"}
    times = {"due_from": "2026-11-24T08:00:00+01:00", "due_to": "2026-11-25T00:00:00Z"}
    assert read_filter(given | times) == Filter(
        states=("scheduled", "dead"), account="a", tag="t", channel="log", id_prefix="post-",
        due_from=datetime(2026, 11, 24, 7, tzinfo=UTC), due_to=datetime(2026, 11, 25, tzinfo=UTC),
    )  # fmt: skip
    assert read_filter({}) == Filter()


@pytest.mark.parametrize(
    ("read", "given", "field"),
    [
        (read_filter, {"state": "lost"}, "state"),
        (read_filter, {"state": "emitted"}, "state"),
        (lambda given: read_filter(given, HELD_STATES), {"state": "delivered"}, "state"),
        (read_filter, {"account": ""}, "account"),
        (read_filter, {"tag": "a\0"}, "tag"),
        (read_filter, {"due_from": "soon"}, "due_from"),
        (read_filter, {"due_to": "2026-11-24T08:00:00"}, "due_to"),
        (read_limit, {"limit": "0"}, "limit"),
        (read_limit, {"limit": "1001"}, "limit"),
        (read_limit, {"limit": "²"}, "limit"),
        (read_order, {"order": "up"}, "order"),
        (lambda given: read_flag(given, "bodies"), {"bodies": "1"}, "bodies"),
        (lambda given: read_cursor(given, MessageKey), {"cursor": "!"}, "cursor"),
        (lambda given: read_cursor(given, MessageKey), {"cursor": "bm9uZQ"}, "cursor"),
        (lambda given: read_cursor(given, MessageKey), {"cursor": next_cursor(KEY, {"tag": "a"})}, "cursor"),
    ],
)
def test_what_is_wrong_is_named_with_the_remedy(read, given, field):
    with pytest.raises(ProblemError) as caught:
        read(given)
    (fault,) = caught.value.details.errors
    assert (caught.value.status, fault.field) == (422, field)
    assert fault.problem
    assert fault.remedy


def test_a_cursor_leads_back_to_its_place_whatever_the_size_of_the_page():
    cursor = next_cursor(KEY, {"tag": "a", "limit": "5"})
    assert read_cursor({"tag": "a", "limit": "9", "cursor": cursor}, MessageKey) == KEY
    assert cursor.isascii()
    assert not set(cursor) & set("+/= ")


def test_a_plus_that_was_not_escaped_is_understood():
    assert read_filter({"due_from": "2026-11-24T08:00:00 01:00"}).due_from == datetime(2026, 11, 24, 7, tzinfo=UTC)
