"""A request with the same key is done once and answered the same: at once, after the delivery, over restarts, after a 504."""

import asyncio
from typing import Any

import httpx
from running_gateway import gateway
from system import System, new_id, until
from system_receiver import Reply

KEY = "a-key-of-the-tests-000"
FAR = "2100-01-01T08:00:00Z"


def message(system: System, **fields: Any) -> dict[str, Any]:
    return {"channel": "webhook", "to": system.receiver.url, "body": {"due_ms": 0, "text": "first"}} | fields


async def test_a_herd_of_the_same_request_is_one_message_for_as_long_as_it_is_remembered(make_system):
    async with (
        make_system(api_key=KEY) as system,
        gateway(system.settings, KEY) as one,
        gateway(system.settings, KEY) as two,
    ):
        key = {"idempotency-key": "order 7"}
        wanted = message(system, due_at=FAR)
        herd = await asyncio.gather(
            *(client.post("/v1/messages", json=wanted, headers=key) for client in [one, two] * 10)
        )
        assert {a.status_code for a in herd} <= {200, 201}
        assert 201 in {a.status_code for a in herd}, "those who ask at the same time share the first answer"
        assert {a.text for a in herd} == {herd[0].text}
        id_ = herd[0].json()["id"]
        assert (await two.post(f"/v1/messages/{id_}/send-now")).status_code == 200
        await system.all_in("delivered", [id_])
        assert (await one.post("/v1/messages", json=wanted, headers=key)).text == herd[0].text
        assert await system.scheduler.stop() == 0
        system.scheduler.start()
        await system.owned()
        again = await two.post("/v1/messages", json=wanted, headers=key)
        assert (again.status_code, again.text) == (200, herd[0].text)
        other = await one.post("/v1/messages", json=wanted | {"body": "other"}, headers=key)
        assert (other.status_code, other.json()["type"]) == (409, "urn:clepsydra:problem:conflict")
        assert [a.body["text"] for a in system.receiver.of(id_)] == ["first"]


async def test_after_a_504_the_same_request_gets_the_answer_whatever_it_asked_for(make_system):
    async with make_system(api_key=KEY) as system, gateway(system.settings, KEY) as http:
        edited, cancelled, sent, dead, made = (new_id() for _ in range(5))
        for id_ in (edited, cancelled, sent):
            await http.post("/v1/messages", json=message(system, id=id_, due_at=FAR))
        system.receiver.script[dead] = [Reply(400)]
        await system.create(system.message(dead))
        await system.all_in("dead", [dead])
        requests: list[tuple[str, str, Any]] = [
            ("POST", "/v1/messages", message(system, id=made, due_at=FAR)),
            ("PATCH", f"/v1/messages/{edited}", {"priority": 9}),
            ("DELETE", f"/v1/messages/{cancelled}", None),
            ("POST", f"/v1/messages/{sent}/send-now", None),
            ("POST", f"/v1/dead-letters/{dead}/mark-sent", None),
        ]
        system.scheduler.freeze()
        unknown = await _all(http, requests)
        system.scheduler.thaw()
        assert [(a.status_code, a.json()["type"]) for a in unknown] == [
            (504, "urn:clepsydra:problem:answer_unknown")
        ] * 5
        answers: list[httpx.Response] = []

        async def answered() -> bool:
            answers[:] = await _all(http, requests)
            return all(a.status_code in (200, 201) for a in answers)

        await until(answered, 30, lambda: [(a.status_code, a.text) for a in answers])
        assert answers[1].json()["revision"] == 2
        assert answers[2].json()["results"] == {"0": "cancelled"}
        assert answers[4].json()["state"] == "delivered"
        await system.all_in("delivered", [sent, dead])
        again = await _all(http, requests)
        assert [a.json() for a in again] == [a.json() for a in answers]
        assert [len(system.receiver.of(id_)) for id_ in (sent, dead, edited)] == [1, 1, 0]


async def _all(http: httpx.AsyncClient, requests: list[tuple[str, str, Any]]) -> list[httpx.Response]:
    """Each with a key of its own, the same each time."""
    return await asyncio.gather(
        *(
            http.request(method, path, json=given, headers={"idempotency-key": f"key of {path}"})
            for method, path, given in requests
        )
    )
