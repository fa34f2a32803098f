"""API keys over real gateways: scopes, revocation on all of them, what is kept."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from running_gateway import KEY, gateway

from gateway.keys import ApiKeyMissingError
from topology.producer import Kafka
from topology.settings import Settings
from topology.topics import TopicNames


async def added(http: httpx.AsyncClient, *scopes: str, **fields: str) -> dict:
    answer = await http.post("/v1/keys", json={"name": "ci", "scopes": scopes} | fields)
    assert answer.status_code == 201
    return answer.json()


def bearer(key: dict) -> dict[str, str]:
    return {"authorization": f"Bearer {key['key']}"}


async def test_a_key_does_what_its_scopes_say_and_403_says_what_is_missing(http: httpx.AsyncClient):
    asked = {"read": ("GET", "/v1/messages/"), "write": ("POST", "/v1/messages"), "admin": ("GET", "/v1/keys")}
    for scope in asked:
        key = await added(http, scope)
        for wanted, (method, path) in asked.items():
            answer = await http.request(method, path, headers=bearer(key))
            assert (answer.status_code == 403) == (scope not in (wanted, "admin")), (scope, wanted)
            if answer.status_code == 403:
                assert f"needs the scope {wanted}" in answer.json()["detail"]
                assert f"has {scope}" in answer.json()["detail"]
                assert f'scope="{wanted}"' in answer.headers["www-authenticate"]


async def test_keys_and_revocations_hold_on_every_gateway_within_a_second(settings: Settings, http: httpx.AsyncClient):
    async with gateway(settings, KEY) as other:
        key = await added(http, "read")
        assert await becomes(other, key, 422) < 1  # an id that cannot be one: the key is good
        assert (await http.get("/v1/messages/", headers=bearer(key))).status_code == 422
        revoked = await other.delete(f"/v1/keys/{key['id']}")
        assert (revoked.status_code, revoked.json()["name"]) == (200, "ci")
        assert (await other.get("/v1/messages/", headers=bearer(key))).status_code == 401
        assert await becomes(http, key, 401) < 1
        assert (await http.delete(f"/v1/keys/{key['id']}")).status_code == 404


async def becomes(http: httpx.AsyncClient, key: dict, status: int) -> float:
    began = time.monotonic()
    async with asyncio.timeout(20):
        while (await http.get("/v1/messages/", headers=bearer(key))).status_code != status:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return time.monotonic() - began


async def test_the_list_shows_all_but_the_keys_themselves(settings: Settings, http: httpx.AsyncClient):
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    first, second = await added(http, "write", "read"), await added(http, "admin", expires_at=until)
    answer = await http.get("/v1/keys")
    assert [(k["id"], k["scopes"], k["ending"]) for k in answer.json()["keys"]] == [
        (first["id"], ["read", "write"], first["key"][-4:]),
        (second["id"], ["admin"], second["key"][-4:]),
    ]
    assert first["key"] not in answer.text
    records = await everything(settings)
    assert len(records) == 2
    assert not any(key["key"].encode() in record for key in (first, second) for record in records)


async def everything(settings: Settings) -> list[bytes]:
    kafka = Kafka(settings.brokers)
    await kafka.start()
    log = kafka.log(TopicNames(settings.prefix).settings, 0)
    found = [stored.value async for some in log.read(0, await log.end()) for stored in some]
    await kafka.stop()
    return found


async def test_an_expired_key_is_401_and_says_since_when(http: httpx.AsyncClient):
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    key = await added(http, "read", expires_at=soon.isoformat())
    await becomes(http, key, 401)
    assert datetime.now(UTC) >= soon
    assert "was good until" in (await http.get("/v1/messages/", headers=bearer(key))).json()["detail"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "", "scopes": ["read"]}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["all"]}, "scopes[0]"),
        ({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ],
)
async def test_a_key_that_cannot_be_made_names_the_field(http: httpx.AsyncClient, fields: dict, field: str):
    answer = await http.post("/v1/keys", json=fields)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_every_operation_names_one_scope(http: httpx.AsyncClient):
    paths = (await http.get("/openapi.json")).json()["paths"]
    for path, methods in paths.items():
        for operation in methods.values():
            scopes = [scope for one in operation.get("security", ()) for scope in one["key"]]
            assert len(scopes) == path.startswith("/v1/"), path
            assert set(scopes) <= {"read", "write", "admin"}


async def test_without_any_key_no_gateway_starts_and_with_a_made_one_it_does(
    settings: Settings, http: httpx.AsyncClient
):
    bare = settings.model_copy(update={"api_key": None})
    with pytest.raises(ApiKeyMissingError, match="CLEPSYDRA_API_KEY"):
        async with gateway(bare, ""):
            pass
    key = await added(http, "admin")
    async with gateway(bare, key["key"]) as other:
        assert (await other.get("/v1/keys")).status_code == 200
