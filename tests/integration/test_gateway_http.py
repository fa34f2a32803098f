"""The HTTP API over a real socket, a real broker and a stand-in owner with the real decisions."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
from running_gateway import KEY
from stand_in_owner import StandInOwner

from schemas.decisions import Mark

SOON = "2100-01-01T08:00:00+01:00"


def message(**fields: Any) -> dict[str, Any]:
    return {"due_at": SOON, "channel": "webhook", "to": "http://127.0.0.1/hook", "body": {"z": 1, "a": 2}} | fields


async def test_a_message_is_scheduled_and_shown(owner: StandInOwner, http: httpx.AsyncClient):
    created = await http.post("/v1/messages", json=message(id="a/b c"))
    assert (created.status_code, created.headers["location"]) == (201, "/v1/messages/a%2Fb%20c")
    assert created.json() == {
        "id": "a/b c", "state": "scheduled", "due_at": SOON, "revision": 1
    }  # fmt: skip
    shown = (await http.get(created.headers["location"])).json()
    assert list(shown["body"]) == ["z", "a"]
    assert shown["deliveries"] == [
        {
            "target": 0, "channel": "webhook", "to": "http://127.0.0.1/hook", "flow": None, "state": "scheduled",
            "due_at": SOON, "attempts": 0, "attempts_left": 10, "maybe_sent": False, "first_attempt_at": None,
            "last_attempt_at": None, "late_ms": None, "last_response": None, "reason": "", "discarded": False,
        }
    ]  # fmt: skip
    assert [moment["what"] for moment in shown["timeline"]] == ["scheduled"]


async def test_a_repeat_by_id_is_200_and_other_content_409(owner: StandInOwner, http: httpx.AsyncClient):
    first = await http.post("/v1/messages", json=message(id="r"))
    again = await http.post("/v1/messages", json=message(id="r"))
    other = await http.post("/v1/messages", json=message(id="r", body="other"))
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert again.json() == first.json()
    assert other.json()["type"] == "urn:clepsydra:problem:conflict"


async def test_a_repeat_by_key_is_200_and_other_content_409(owner: StandInOwner, http: httpx.AsyncClient):
    key = {"Idempotency-Key": "order 7"}
    first = await http.post("/v1/messages", json=message(), headers=key)
    again = await http.post("/v1/messages", json=message(), headers=key)
    other = await http.post("/v1/messages", json=message(body="other"), headers=key)
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert again.json() == first.json()


async def test_without_id_and_key_each_request_is_a_message_of_its_own(owner: StandInOwner, http: httpx.AsyncClient):
    ids = {(await http.post("/v1/messages", json=message())).json()["id"] for _ in range(3)}
    assert len(ids) == 3


async def test_an_edit_is_answered_with_the_new_revision(owner: StandInOwner, http: httpx.AsyncClient):
    await http.post("/v1/messages", json=message(id="e"))
    changed = await http.patch("/v1/messages/e", json={"due_at": "2100-02-01T00:00:00Z"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["revision"], changed.headers["etag"]) == (200, 2, '"2"')
    stale = await http.patch("/v1/messages/e", json={"to": "http://127.0.0.1/x"}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["revision"]) == (412, 2)


async def test_a_repeated_edit_is_done_once(owner: StandInOwner, http: httpx.AsyncClient):
    await http.post("/v1/messages", json=message(id="e"))
    key = {"Idempotency-Key": "k", "If-Match": "1"}
    answers = [await http.patch("/v1/messages/e", json={"priority": 9}, headers=key) for _ in range(2)]
    assert [(a.status_code, a.json()["revision"]) for a in answers] == [(200, 2), (200, 2)]


async def test_a_cancel_gives_a_result_per_target_and_the_same_again(owner: StandInOwner, http: httpx.AsyncClient):
    await http.post("/v1/messages", json=message(id="c"))
    answers = [await http.delete("/v1/messages/c") for _ in range(2)]
    expected = {"id": "c", "state": "cancelled", "results": {"0": "cancelled"}}
    assert [(a.status_code, a.json()) for a in answers] == [(200, expected)] * 2
    assert (await http.get("/v1/messages/c")).json()["state"] == "cancelled"


async def test_what_was_handed_over_is_too_late_with_its_state(owner: StandInOwner, http: httpx.AsyncClient):
    await http.post("/v1/messages", json=message(id="l"))
    owner.marks["l"] = (Mark.EMITTED,)
    for answer in (await http.patch("/v1/messages/l", json={"priority": 1}), await http.delete("/v1/messages/l")):
        problem = answer.json()
        assert (answer.status_code, problem["type"], problem["state"]) == (
            409, "urn:clepsydra:problem:too_late", "emitted"
        )  # fmt: skip


async def test_unknown_ids_are_404(owner: StandInOwner, http: httpx.AsyncClient):
    answers = [
        await http.get("/v1/messages/x"), await http.delete("/v1/messages/x"),
        await http.patch("/v1/messages/x", json={"priority": 1}), await http.get("/v1/nothing"),
    ]  # fmt: skip
    assert [(a.status_code, a.headers["content-type"]) for a in answers] == [(404, "application/problem+json")] * 4


async def test_what_the_owner_refuses_names_the_field(owner: StandInOwner, http: httpx.AsyncClient):
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    refused = await http.post("/v1/messages", json=message(due_at=past))
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "due_at")
    assert "allow_past" in refused.json()["errors"][0]["remedy"]
    assert (await http.post("/v1/messages", json=message(due_at=past, allow_past=True))).status_code == 201
    unknown = await http.post("/v1/messages", json=message(channel="pigeon"))
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "channel")


async def test_a_large_request_is_413_before_it_is_read(owner: StandInOwner, http: httpx.AsyncClient):
    told = await http.post("/v1/messages", content=b"x" * 10_000_000)

    async def untold() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    answers = [told, await http.post("/v1/messages", content=untold())]
    assert [(a.status_code, a.json()["type"]) for a in answers] == [(413, "urn:clepsydra:problem:too_large")] * 2
    large = await http.post("/v1/messages", json=message(body="x" * 262_145))
    assert (large.status_code, large.json()["errors"][0]["field"]) == (422, "body")
    assert (await http.post("/v1/messages", json=message(body="x" * 262_144))).status_code == 201


async def test_no_answer_is_504_and_the_repeat_finds_it(owner: StandInOwner, http: httpx.AsyncClient):
    owner.silent = True
    key = {"Idempotency-Key": "slow"}
    unknown = await http.post("/v1/messages", json=message(), headers=key)
    assert (unknown.status_code, unknown.json()["type"]) == (504, "urn:clepsydra:problem:answer_unknown")
    assert unknown.json()["command_id"].startswith("key:POST:")
    owner.silent = False
    assert (await http.post("/v1/messages", json=message(), headers=key)).status_code == 200


async def test_a_wrong_key_is_401_with_the_remedy(http: httpx.AsyncClient):
    for headers in ({"authorization": ""}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {KEY}"}):
        answer = await http.get("/v1/messages/x", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "CLEPSYDRA_API_KEY" in answer.json()["detail"]


async def test_it_says_how_it_is(http: httpx.AsyncClient):
    assert (await http.get("/healthz")).json() == {"status": "alive"}
    assert (await http.get("/readyz")).json() == {"status": "ready"}
    metrics = (await http.get("/metrics")).text
    assert 'clepsydra_http_requests_total{method="GET",route="/readyz",status="200"} 1.0' in metrics
    await http.commander.stop()
    assert (await http.get("/readyz")).status_code == 503


async def test_a_herd_of_requests_is_packed(owner: StandInOwner, http: httpx.AsyncClient):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(http.post("/v1/messages", json=message())) for _ in range(300)]
    assert {task.result().status_code for task in tasks} == {201}
    assert owner.records < len(owner.seen)


async def test_the_document_describes_what_is_accepted(http: httpx.AsyncClient):
    document = msgspec.json.decode((await http.get("/openapi.json")).content)
    create = document["paths"]["/v1/messages"]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/NewMessage")
    new = document["components"]["schemas"]["NewMessage"]
    assert (new["required"], new["properties"]["priority"]["maximum"]) == (["due_at"], 9)
    assert sorted(create["responses"]) == ["200", "201", "400", "401", "403", "409", "413", "422", "429", "503", "504"]
