"""Actions over HTTP: a real socket, a real broker and a stand-in owner with the real decisions."""

from typing import Any

import httpx
import pytest
from builders import replaced
from stand_in_owner import StandInOwner

from schemas.decisions import Mark
from schemas.lifecycle import DeliveryState
from topology.clock import SystemClock

SOON = "2100-01-01T08:00:00+01:00"
TO = "http://127.0.0.1/hook"
ACTIONS = [
    "messages/{}/send-now",
    "messages/{}/erase",
    *(f"dead-letters/{{}}/{a}" for a in ("retry", "discard", "mark-sent")),
]


async def schedule(http: httpx.AsyncClient, id_: str, **fields: Any) -> None:
    given = {"id": id_, "due_at": SOON, "channel": "webhook", "to": TO, "body": "x"} | fields
    given = {name: value for name, value in given.items() if value is not None}
    assert (await http.post("/v1/messages", json=given)).status_code == 201


async def give_up(owner: StandInOwner, http: httpx.AsyncClient, id_: str, targets: int = 1, **fields: Any) -> None:
    """A message whose every target is dead."""
    many = [{"channel": "webhook", "to": TO}] * targets
    await schedule(http, id_, targets=many, channel=None, to=None, **fields)
    row = owner.rows[id_]
    dead = tuple(replaced(d, state=DeliveryState.DEAD, attempts=1, reason="400 Bad Request") for d in row.deliveries)
    owner.rows[id_] = replaced(row, deliveries=dead)


async def test_send_now_makes_it_due_at_once_and_a_repeat_with_its_key_does_nothing_more(owner, http):
    await schedule(http, "a/b")
    before_ms = SystemClock().now_ms()
    answers = [await http.post("/v1/messages/a%2Fb/send-now", headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [(a.status_code, a.json()["revision"], a.headers["etag"]) for a in answers] == [(200, 2, '"2"')] * 2
    due_ms = int(owner.rows["a/b"].message.due_at.timestamp() * 1000)
    assert before_ms <= due_ms <= SystemClock().now_ms()


async def test_send_now_is_too_late_for_what_was_handed_over(owner, http):
    await schedule(http, "l")
    owner.marks["l"] = (Mark.EMITTED,)
    problem = (await http.post("/v1/messages/l/send-now")).json()
    assert (problem["status"], problem["type"], problem["state"]) == (409, "urn:clepsydra:problem:too_late", "emitted")


async def test_a_finished_message_is_erased_and_a_live_one_is_not(owner, http):
    await schedule(http, "e", headers={"x": "1"}, metadata={"y": 2}, tags=["t"])
    live = await http.post("/v1/messages/e/erase")
    assert (live.status_code, live.json()["type"]) == (409, "urn:clepsydra:problem:wrong_state")
    await http.delete("/v1/messages/e")
    answers = [await http.post("/v1/messages/e/erase") for _ in range(2)]
    assert [(a.status_code, a.json()["state"]) for a in answers] == [(200, "cancelled")] * 2
    shown = (await http.get("/v1/messages/e")).json()
    assert (shown["erased"], shown["tags"], shown["deliveries"][0]["to"]) == (True, ["t"], "")
    assert shown.keys().isdisjoint({"to", "body", "headers", "metadata"})


async def test_an_id_that_ends_like_an_action_is_an_id(owner, http):
    await schedule(http, "x/send-now")
    assert (await http.get("/v1/messages/x/send-now")).json()["id"] == "x/send-now"
    assert (await http.post("/v1/messages/x/send-now")).status_code == 404, "the message x"
    assert (await http.post("/v1/messages/x/send-now/send-now")).json()["id"] == "x/send-now"


async def test_dead_letters_are_tried_again_discarded_and_marked_as_sent_by_target_or_all(owner, http):
    await give_up(owner, http, "d", targets=4)
    one = await http.post("/v1/dead-letters/d/retry", json={"target": 1})
    assert (one.status_code, one.json()) == (
        200, {"id": "d", "state": "retrying", "results": {"0": "dead", "1": "retrying", "2": "dead", "3": "dead"}}
    )  # fmt: skip
    two = await http.post("/v1/dead-letters/d/mark-sent", json={"target": 2})
    three = await http.post("/v1/dead-letters/d/discard", json={"target": 3})
    rest = await http.post("/v1/dead-letters/d/retry")
    assert [a.status_code for a in (two, three, rest)] == [200, 200, 200]
    assert rest.json()["results"] == {"0": "retrying", "1": "retrying", "2": "delivered", "3": "dead"}
    shown = (await http.get("/v1/messages/d")).json()["deliveries"]
    assert [(d["reason"], d["discarded"]) for d in shown[2:]] == [
        ("marked as sent by hand", False), ("400 Bad Request", True)
    ]  # fmt: skip


@pytest.mark.parametrize("action", ["retry", "discard", "mark-sent"])
async def test_a_repeat_with_its_key_is_answered_the_same_and_without_one_by_the_state(owner, http, action):
    await give_up(owner, http, "d")
    answers = [await http.post(f"/v1/dead-letters/d/{action}", headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [(a.status_code, a.json()) for a in answers] == [(200, answers[0].json())] * 2
    another = await http.post(f"/v1/dead-letters/d/{action}")
    assert another.status_code == (200 if action == "discard" else 409)


async def test_what_cannot_be_done_says_why(owner, http):
    await schedule(http, "s")
    alive = await http.post("/v1/dead-letters/s/retry")
    assert (alive.status_code, alive.json()["type"], alive.json()["state"]) == (
        409, "urn:clepsydra:problem:wrong_state", "scheduled"
    )  # fmt: skip
    beyond = await http.post("/v1/dead-letters/s/retry", json={"target": 3})
    assert (beyond.status_code, beyond.json()["errors"][0]["field"]) == (422, "target")
    for body in ({"target": -1}, {"target": "all"}, {"targets": 1}):
        wrong = await http.post("/v1/dead-letters/s/retry", json=body)
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, next(iter(body)))
    assert (await http.post("/v1/dead-letters/s/retry", content=b"{")).status_code == 400


@pytest.mark.parametrize("path", ACTIONS)
async def test_what_is_not_there_is_404_and_without_a_key_401(owner, http, path):
    url = f"/v1/{path.format('nobody')}"
    assert (await http.post(url)).status_code == 404
    assert (await http.post(url, headers={"authorization": ""})).status_code == 401
