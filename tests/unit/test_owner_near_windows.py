"""What is due soon: armed up to the horizon, given out once its time has come."""

import json

from builders import NOON, a_message, a_row, an_edit, asked, decided, replaced, seen
from msgspec import Raw

from agents.near_windows import NearWindows, due_body, prefixed
from agents.ports import Change, Due
from schemas.lifecycle import DeliveryState
from schemas.message import Target
from schemas.times import at
from schemas.wire import read_due

FAR = Due(NOON + 60_000, "\U0010ffff", 0)


def near(horizon: Due = FAR, **given) -> NearWindows:
    made = NearWindows(lambda _, key: len(key), **given)
    made.horizon = horizon
    return made


def a_row_of(id_: str, due_ms: int = NOON, **over):
    return a_row(a_message(id_, due_at=at(due_ms), **over))


def due(made: NearWindows, now_ms: int, limit: int = 100) -> list[str]:
    return [a.id for group in made.due(now_ms, limit) for a in reversed(group.waiting)]


def test_deliveries_come_when_they_are_due_in_order_and_once():
    made = near()
    for row in (a_row_of("c", NOON + 2), a_row_of("b", NOON + 1), a_row_of("a", NOON + 1)):
        made.arm(row)
    assert (made.next_due_ms(), due(made, NOON)) == (NOON + 1, [])
    assert due(made, NOON + 1) == ["a", "b"]
    assert (due(made, NOON + 5), due(made, NOON + 5), made.next_due_ms()) == (["c"], [], None)


def test_no_more_groups_than_asked_for_are_given():
    made = near()
    for n in range(5):
        made.arm(a_row_of(f"m{n}", flow=f"f{n}"))
    first, rest = due(made, NOON, 2), due(made, NOON, 9)
    assert (len(first), sorted(first + rest), made.next_due_ms()) == (2, ["m0", "m1", "m2", "m3", "m4"], None)


def test_of_one_instant_the_most_urgent_comes_first_however_many_groups_there_are():
    made = near()
    for n in range(30):
        made.arm(a_row_of(f"m{n:02}", flow=f"f{n}", priority=n % 10))
    assert [g.priority for g in made.due(NOON, 6)] == [9, 9, 9, 8, 8, 8]


def test_what_is_due_at_one_instant_of_a_channel_a_flow_and_a_priority_is_one_group():
    made = near()
    for n, over in enumerate(
        [{}, {}, {"priority": 9}, {"flow": "f"}, {"flow": "f"}, {"channel": "webhook", "to": "x"}]
    ):
        made.arm(a_row_of(f"m{n}", **over))
    made.arm(a_row_of("later", NOON + 1))
    first, *groups, last = [[a.id for a in g.waiting] for g in made.due(NOON + 1, 9)]
    assert (first, sorted(groups), last) == (["m2"], [["m1", "m0"], ["m4", "m3"], ["m5"]], ["later"])


def test_a_group_comes_in_the_order_of_ids_whatever_the_order_of_arming():
    made = near()
    for id_ in ("b", "d", "a", "c"):
        made.arm(a_row_of(id_))
    assert due(made, NOON) == ["a", "b", "c", "d"]


def test_what_is_edited_again_and_again_does_not_pile_up():
    made = near()
    made.arm(a_row_of("other"))
    for _ in range(100):
        made.disarm("m", 0)
        made.arm(a_row_of("m"))
    assert sum(len(group.waiting) for groups in made._instants.values() for group in groups.values()) <= 4
    assert due(made, NOON) == ["m", "other"]


def test_what_was_edited_does_not_come_with_its_group():
    made = near()
    for id_ in ("a", "b", "m"):
        made.arm(a_row_of(id_))
    made.arm(a_row_of("m", flow="another"))
    assert sorted((g.flow or "", [a.id for a in g.waiting]) for g in made.due(NOON, 9)) == [
        ("", ["b", "a"]),
        ("another", ["m"]),
    ]


def test_a_group_of_which_all_are_gone_does_not_come():
    made = near()
    made.arm(a_row_of("m"))
    made.disarm("m", 0)
    assert list(made.due(NOON, 9)) == []


def test_only_live_deliveries_up_to_the_horizon_are_armed():
    made = near(Due(NOON, "m", 0))
    two = (Target(channel="log"), Target(channel="log"))
    made.arm(a_row(a_message(targets=two), {}, {}))  # target 1 lies beyond (NOON, "m", 0)
    made.arm(a_row_of("n"))
    made.arm(a_row_of("later", NOON + 1))
    made.arm(a_row(a_message("a"), {"state": DeliveryState.DELIVERED}))
    assert list(made.armed) == [("m", 0)]


def test_an_edited_delivery_comes_at_its_new_time_only():
    made, old = near(), a_row_of("m")
    made.update(Change("m", None, old, b""))
    new = decided(seen(old), asked(an_edit(due_at=at(NOON + 9)))).row
    made.update(Change("m", old, new, b""))
    assert due(made, NOON + 8) == []
    ((armed,),) = [group.waiting for group in made.due(NOON + 9, 9)]
    assert (armed.turn, armed.due_ms) == (2, NOON + 9)


def test_a_delivery_that_is_edited_beyond_the_horizon_or_finished_or_forgotten_is_not_here():
    made, old = near(), a_row_of("m")
    for new in (a_row_of("m", FAR.due_ms + 1), a_row(a_message(), {"state": DeliveryState.CANCELLED}), None):
        made.update(Change("m", None, old, b""))
        made.update(Change("m", old, new, b""))
        assert (made.armed, due(made, NOON * 2), made.bytes) == ({}, [], 0)


def test_prepared_bodies_are_bounded_and_counted():
    made = near(bytes_max=1)
    for n in range(3):
        made.arm(a_row_of(f"m{n}"))
    first, *others = made.armed.values()
    assert [a.body for a in others] == [None, None]
    assert made.bytes == len(first.body)
    made.drop_body(first)
    made.drop_body(first)
    assert (made.bytes, first.body) == (0, None)
    made.disarm("m1", 0)
    assert made.bytes == 0


def test_the_body_of_one_that_was_replaced_meanwhile_is_not_subtracted_twice():
    made, row = near(), a_row_of("m")
    made.arm(row)
    (old,) = made.armed.values()
    made.arm(row)
    held = made.bytes
    made.drop_body(old)
    assert (made.bytes, len(made.armed)) == (held, 1)


def test_it_is_full_at_its_count():
    made = near(count_max=2)
    made.arm(a_row_of("a"))
    assert not made.full()
    made.arm(a_row_of("b"))
    assert made.full()


def test_a_flow_decides_the_place_else_the_id():
    made = near()
    made.arm(a_row_of("m", flow="flow"))
    made.arm(a_row_of("mm", account="account"))
    made.arm(a_row_of("mmm"))
    assert [a.place for a in made.armed.values()] == [4, 7, 3]


def test_a_prepared_body_is_the_due_record_less_what_a_pack_shares():
    message = a_message(
        body=Raw(b'{"a":1}'), headers={"h": "v"}, account="acc", content_type="text/x", expires_at=at(NOON + 1)
    )
    row = a_row(message, {"attempts": 2, "turn": 3, "maybe_sent": True})
    prefix = b'{"kind":"due","v":1,"partition":1,"epoch":2,"emitted_at":"2026-11-23T08:00:00Z",'
    ((whole,),) = [read_due(b"[" + b + b"]") for b in prefixed(prefix, [due_body(row, row.deliveries[0])])]
    assert (whole.id, whole.key, whole.turn, whole.attempt, whole.birth, whole.revision, whole.maybe_sent) == (
        "m", "m/0", 3, 3, row.birth, 1, True
    )  # fmt: skip
    assert (whole.partition, whole.epoch, bytes(whole.body), whole.headers, whole.account, whole.flow) == (
        1, 2, b'{"a":1}', {"h": "v"}, "acc", "acc"
    )  # fmt: skip
    assert (whole.due_at, whole.expires_at, whole.content_type) == (at(NOON), at(NOON + 1), "text/x")


def test_an_empty_body_is_left_out():
    row = a_row(replaced(a_message()))
    assert "body" not in json.loads(due_body(row, row.deliveries[0]))
