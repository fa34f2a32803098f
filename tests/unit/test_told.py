"""A message's story in words, as a support person reads it."""

import pytest

from gateway.dashboard.message import changes_of
from gateway.told import local, moments, story

DUE = "2026-11-24T12:00:00Z"


def a_message(*deliveries, timeline=()):
    plain = {"target": 0, "state": "scheduled", "due_at": DUE, "attempts": 0, "reason": "", "late_ms": None}
    return {"deliveries": [plain | {"target": n} | d for n, d in enumerate(deliveries)], "timeline": list(timeline)}


PUT_OFF = {"at": DUE, "what": "deferred", "note": "waiting for its slot at 12:00:04"}


@pytest.mark.parametrize(
    ("delivery", "timeline", "expected"),
    [
        ({}, (), "Is due at 2026-11-24 12:00:00.000 UTC."),
        ({"reason": "waiting for its slot"}, (), "Waits until 2026-11-24 12:00:00.000 UTC: waiting for its slot."),
        ({"state": "emitted"}, (), "Is in a courier's hands now."),
        ({"state": "delivered", "attempts": 1, "late_ms": 3}, (), "Delivered on time (3 ms after it was due)."),
        (
            {"state": "delivered", "attempts": 1, "late_ms": 4_200}, (),
            "Delivered 4.2 s late: it was due then, and no courier took it up before.",
        ),
        ({"state": "delivered", "attempts": 3, "late_ms": 3}, (), "Delivered at attempt 3: 2 before failed."),
        (
            {"state": "delivered", "attempts": 1, "late_ms": 0}, (PUT_OFF,),
            "Delivered, put off 1 time before (waiting for its slot at 12:00:04).",
        ),
        ({"state": "dead", "attempts": 1, "reason": "400"}, (), "Given up after 1 attempt: 400."),
        (
            {"state": "retrying", "attempts": 2, "reason": "503", "last_response": {"body": "we are\nmoving"}}, (),
            "Waits until 2026-11-24 12:00:00.000 UTC after 2 attempts: 503 (we are moving).",
        ),
        (
            {"state": "retrying", "attempts": 1, "attempts_left": 9, "reason": "503"}, (),
            "Waits until 2026-11-24 12:00:00.000 UTC after 1 attempt, 9 are left: 503.",
        ),
        (
            {"state": "retrying", "attempts": 9, "attempts_left": 1, "reason": "503"}, (),
            "Waits until 2026-11-24 12:00:00.000 UTC after 9 attempts, for the last one: 503.",
        ),
        (
            {"state": "dead", "attempts": 1, "reason": "400", "last_response": {"body": "x" * 201}}, (),
            f"Given up after 1 attempt: 400 ({'x' * 200}...).",
        ),
        ({"state": "unknown"}, (), "Perhaps sent, and nobody knows: no response came back. A person decides."),
        ({"state": "cancelled"}, (), "Cancelled."),
    ],
)  # fmt: skip
def test_a_delivery_is_told_in_a_sentence(delivery, timeline, expected):
    assert story(a_message(delivery, timeline=timeline)) == [expected]


def test_many_targets_are_told_by_number():
    assert [text[:9] for text in story(a_message({}, {}))] == ["Target 0:", "Target 1:"]


def test_the_timeline_says_when_what_and_why():
    timeline = ({"at": DUE, "what": "scheduled"}, {"at": DUE, "what": "dead", "target": 1, "note": "400"})
    assert moments(a_message({}, {}, timeline=timeline)) == [
        ("2026-11-24 12:00:00.000 UTC", "accepted", ""),
        ("2026-11-24 12:00:00.000 UTC", "target 1: given up", "400"),
    ]


def test_no_time_is_a_dash():
    assert local(None) == "-"


def test_an_edit_asks_only_for_what_was_changed():
    seen = {"due_at": DUE, "body": {"a": 1}}
    assert changes_of(seen, DUE, '{"a":1}') == {}
    assert changes_of(seen, "2026-11-24T13:00:00Z", '{"a":1}') == {"due_at": "2026-11-24T13:00:00Z"}
    assert changes_of(seen, DUE, '"text"') == {"body": "text"}
