"""Limits over HTTP and from the command line, without a server."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest
from fakes import FakeClock, FakeSettingsTable
from pydantic import SecretStr
from typer.testing import CliRunner

from gateway.api import create_api
from gateway.cli import app as cli
from gateway.client import ApiClient
from gateway.parts import Parts
from schemas.settings_records import Breakers, Flow, OpenBreaker
from schemas.times import at
from schemas.window_records import OwnerRecord
from topology.settings import Settings

KEY = "k" * 20
OWNERS = {
    n: OwnerRecord(partition=n, owner="s", epoch=1, since=at(0), at=at(0), paused={"acme": 3 + n}) for n in range(2)
}


@pytest.fixture
def table() -> FakeSettingsTable:
    return FakeSettingsTable()


@pytest.fixture
def api(table: FakeSettingsTable) -> Any:
    settings = Settings(api_key=SecretStr(KEY), brokers="127.0.0.1:9", email_password=SecretStr("s3cret"))
    commander: Any = SimpleNamespace(waiting=0, ready=True)
    owners: Any = SimpleNamespace(owners=AsyncMock(return_value=OWNERS))
    return create_api(Parts(settings, FakeClock(), commander, table, owners, archive=None, event_ends=None))  # type: ignore[arg-type]


@pytest.fixture
def http(api: Any) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {KEY}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://gateway", headers=headers)


async def test_limits_are_set_shown_listed_and_removed(http: httpx.AsyncClient, table: FakeSettingsTable) -> None:
    assert (await http.get("/v1/flows/acme")).status_code == 404
    given = {"rate": 10, "per": "PT1M", "burst": 2, "parallelism": 3, "note": "as agreed"}
    done = await http.put("/v1/flows/acme", json=given)
    shown = given | {
        "per": "PT60S",
        "paused": False, "honours_key": None, "timeout": None, "webhook_secrets": [], "key": "acme",
        "set_at": "2026-09-21T14:13:20Z", "held_back": None,
    }  # fmt: skip
    assert (done.status_code, done.json()) == (200, shown)
    assert (await http.get("/v1/flows/acme")).json() == shown | {"held_back": 7}
    await http.put("/v1/flows/channel:webhook", json={"paused": True})
    assert [f["key"] for f in (await http.get("/v1/flows")).json()["flows"]] == ["acme", "channel:webhook"]
    assert (await http.delete("/v1/flows/acme")).json() == shown
    assert set(table.all(Flow)) == {"channel:webhook"}
    assert (await http.delete("/v1/flows/acme")).status_code == 404


async def test_a_put_replaces_all_limits(http: httpx.AsyncClient) -> None:
    await http.put("/v1/flows/a%2Fb", json={"rate": 10})
    assert (await http.put("/v1/flows/a%2Fb", json={"paused": True})).json()["rate"] is None


@pytest.mark.parametrize(
    ("key", "given", "field", "remedy"),
    [
        ("acme", {"burst": 3}, "rate", "`burst` and `per` mean something beside it only"),
        ("acme", {"rate": -1}, "rate", "correct the value and send it again"),
        ("acme", {"rate": 1, "per": "P60D"}, "per", "give an ISO 8601 duration such as PT1S"),
        ("acme", {"rates": 1}, "rates", "see the list of fields in the API reference, or take it out"),
        ("channel:", {"rate": 1}, "key", "write channel:webhook"),
    ],
)
async def test_wrong_limits_name_the_field_and_the_remedy(
    http: httpx.AsyncClient, key: str, given: dict[str, Any], field: str, remedy: str
) -> None:
    answer = await http.put(f"/v1/flows/{key}", json=given)
    assert (answer.status_code, [(e["field"], e["remedy"]) for e in answer.json()["errors"]]) == (
        422, [(field, remedy)],
    )  # fmt: skip


@pytest.fixture
def run(api: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    def call(_self: Any, method: str, path: str, body: Any = None) -> Any:
        headers = {"authorization": f"Bearer {KEY}"}

        async def ask() -> Any:
            transport = httpx.ASGITransport(api)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
                return (await client.request(method, path, json=body)).json()

        return asyncio.run(ask())

    monkeypatch.setattr(ApiClient, "call", call)

    def invoke(*arguments: str) -> str:
        done = CliRunner().invoke(cli, arguments, env={"CLEPSYDRA_API_KEY": KEY, "COLUMNS": "160"})
        assert done.exit_code == 0, done.output
        return "".join(line for line in done.output.splitlines(keepends=True) if "[info" not in line)

    return invoke


def test_the_command_line_changes_what_is_given_and_leaves_the_rest(run: Any) -> None:
    assert run("flows", "set", "acme", "--rate", "10", "--note", "as agreed") == "set acme: 10 in 1 s, 1 at once\n"
    assert (
        run("flows", "set", "acme", "--per", "1m", "--parallelism", "2")
        == "set acme: 10 in 1 min, 1 at once; 2 under way\n"
    )
    assert run("flows", "pause", "acme", "--note", "no token") == (
        "paused acme: nothing is sent until it is resumed; 10 in 1 min, 1 at once; 2 under way\n"
    )
    assert json.loads(run("flows", "list", "--json"))[0]["note"] == "no token"
    assert "acme  10 in 1 min  1      2         paused  7          no token" in run("flows", "list")
    assert run("flows", "resume", "acme").startswith("resumed acme: 10 in 1 min")
    assert run("flows", "set", "acme", "--rate", "0", "--parallelism", "0") == "set acme: no limit\n"
    assert run("flows", "remove", "acme") == "removed acme\n"
    assert json.loads(run("flows", "list", "--json")) == []


def test_nothing_to_set_is_an_error(api: Any) -> None:
    done = CliRunner().invoke(cli, ["flows", "set", "acme"], env={"CLEPSYDRA_API_KEY": KEY})
    assert done.exit_code == 1
    assert "nothing to set" in str(done.exception)


async def test_channels_say_what_they_are_set_to_and_what_is_missing(http: httpx.AsyncClient) -> None:
    found = {one["name"]: one for one in (await http.get("/v1/channels")).json()["channels"]}
    assert set(found) == {"apprise", "email", "kafka", "log", "webhook"}
    assert [name for name, one in found.items() if one["usable"]] == ["kafka", "log", "webhook"]
    assert found["email"]["missing"] == "set CLEPSYDRA_EMAIL_SERVER=host:port and CLEPSYDRA_EMAIL_FROM=address"
    assert {"name": "CLEPSYDRA_EMAIL_PASSWORD", "value": "set"} in found["email"]["settings"]
    assert (found["email"]["honours_key"], found["webhook"]["honours_key"]) == (False, True)
    assert {"name": "CLEPSYDRA_WEBHOOK_ALLOW_PRIVATE", "value": "false"} in found["webhook"]["settings"]
    assert "s3cret" not in str(found)


async def test_a_channel_names_the_endpoints_that_do_not_answer(
    http: httpx.AsyncClient, table: FakeSettingsTable
) -> None:
    now = FakeClock().now_ms()
    one = OpenBreaker(endpoint="http://a.example", failures=7, since=at(now - 9_000), until=at(now + 4_000))
    for courier in ("c1", "c2"):
        await table.put(Breakers(key=f"webhook/{courier}", channel="webhook", at=at(now), open=(one,)))
    found = {one["name"]: one["breakers"] for one in (await http.get("/v1/channels")).json()["channels"]}
    shown = {"since": "2026-09-21T14:13:11Z", "tried_again_at": "2026-09-21T14:13:24Z", "failures": 14, "couriers": 2}
    assert found["webhook"] == [{"endpoint": "http://a.example"} | shown]
    assert found["log"] == []


def test_the_command_line_shows_the_channels(run: Any) -> None:
    shown = run("channels")
    assert "set CLEPSYDRA_APPRISE_SCHEMES to the networks that may be used" in shown
    assert {one["name"] for one in json.loads(run("channels", "--json"))} == {
        "apprise",
        "email",
        "kafka",
        "log",
        "webhook",
    }
