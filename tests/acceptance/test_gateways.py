"""Gateways as processes: two side by side answer the same, and one that is told to stop answers what it has taken."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from system import System, new_id, until
from system_gateway import Gateway, started_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def first(shared: System) -> AsyncIterator[Gateway]:
    async with started_gateway(shared, "gateway-1") as gateway:
        yield gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def second(shared: System) -> AsyncIterator[Gateway]:
    async with started_gateway(shared, "gateway-2") as gateway:
        yield gateway


def later(**fields: object) -> dict[str, object]:
    return {"due_at": "2100-01-01T00:00:00Z", "channel": "log", "body": "x"} | fields


async def test_what_one_gateway_accepted_the_other_shows_edits_and_cancels(first: Gateway, second: Gateway):
    created = await first.http.post("/v1/messages", json=later(id=(message_id := new_id())))
    path = created.headers["location"]
    shown, again = await second.http.get(path), await first.http.get(path)
    assert {**shown.json(), "as_of": ""} == {**again.json(), "as_of": ""}
    assert shown.headers["etag"] == '"1"'
    edited = await second.http.patch(path, json={"priority": 9}, headers={"If-Match": shown.headers["etag"]})
    assert (edited.status_code, edited.headers["etag"]) == (200, '"2"')
    stale = await first.http.patch(path, json={"priority": 1}, headers={"If-Match": shown.headers["etag"]})
    assert (stale.status_code, stale.json()["revision"]) == (412, 2)
    answers = [await gateway.http.delete(path) for gateway in (first, second, first)]
    assert {(a.status_code, a.text) for a in answers} == {(200, answers[0].text)}
    assert (await second.http.get(path)).json()["state"] == "cancelled"
    assert (await second.http.post("/v1/messages", json=later(id=message_id))).status_code == 200


async def test_a_key_raced_on_both_makes_one_message_and_both_say_so(first: Gateway, second: Gateway):
    gateways = (first, second)
    for _ in range(20):
        key = {"Idempotency-Key": new_id()}
        answers = await asyncio.gather(
            *(gateways[n % 2].http.post("/v1/messages", json=later(), headers=key) for n in range(8))
        )
        made = [a.status_code for a in answers].count(201)
        assert {a.status_code for a in answers} <= {200, 201}
        assert 1 <= made <= 2  # once; both say so where they read the same partition of answers
        assert len({a.text for a in answers}) == 1


async def test_other_content_raced_under_one_id_is_accepted_once_and_refused_everywhere_else(
    first: Gateway, second: Gateway
):
    for _ in range(10):
        message_id = new_id()
        answers = await asyncio.gather(
            *((first, second)[n % 2].http.post("/v1/messages", json=later(id=message_id, body=n)) for n in range(6))
        )
        assert sorted(a.status_code for a in answers) == [201] + [409] * 5
        winner = next(n for n, a in enumerate(answers) if a.status_code == 201)
        assert (await second.http.get(f"/v1/messages/{message_id}")).json()["body"] == winner


async def test_told_to_stop_it_answers_what_it_has_taken_and_takes_no_more(shared: System):
    async with started_gateway(shared, "gateway-stopped") as gateway:
        shared.scheduler.freeze()
        try:
            asked = [asyncio.create_task(gateway.http.post("/v1/messages", json=later())) for _ in range(20)]
            await until(lambda: _waiting(gateway, 20))
            stopping = asyncio.create_task(gateway.worker.stop())
            await until(lambda: _refuses(gateway))
            assert not any(task.done() for task in asked)
        finally:
            shared.scheduler.thaw()
        assert {(await task).status_code for task in asked} == {201}
        assert await stopping == 0


async def _waiting(gateway: Gateway, count: int) -> bool:
    metrics = (await gateway.http.get("/metrics")).text
    return f"clepsydra_commands_waiting {count}.0" in metrics


async def _refuses(gateway: Gateway) -> bool:
    try:
        async with httpx.AsyncClient() as client:
            await client.get(f"http://127.0.0.1:{gateway.port}/healthz")
    except httpx.TransportError:
        return True
    return False
