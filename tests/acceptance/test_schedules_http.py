"""`/v1/schedules` and `clepsydra schedules`, answered by the owners of a running system."""

import asyncio
import json
from contextlib import asynccontextmanager

from running_gateway import KEY, gateway
from system import until
from typer.testing import CliRunner

from gateway.cli import app


@asynccontextmanager
async def running(make_system):
    async with make_system(api_key=KEY) as system, gateway(system.settings, KEY) as http:
        yield system, http


def definition(system, **over):
    return {
        "recurrence": {"cron": "30 2 * * *"},
        "timezone": "Europe/Rome",
        "message": {"channel": "webhook", "to": system.receiver.url, "body": {"due_ms": 0}},
    } | over


async def test_a_schedule_over_http_from_its_making_to_its_removal(make_system):
    async with running(make_system) as (system, http):
        made = await http.post("/v1/schedules", json=definition(system, id="nightly"))
        assert (made.status_code, made.json()["state"], made.json()["revision"]) == (201, "active", 1)
        again = await http.post("/v1/schedules", json=definition(system, id="nightly"))
        other = await http.post("/v1/schedules", json=definition(system, id="nightly", note="other"))
        assert (again.status_code, other.status_code) == (200, 409)

        shown = (await http.get("/v1/schedules/nightly")).json()
        following = shown["upcoming"][0]
        assert following["made"]
        assert (await http.get(f"/v1/messages/{following['id']}")).json()["state"] == "scheduled"

        later = shown["upcoming"][4]["id"]
        assert (await http.delete(f"/v1/messages/{later}")).json()["state"] == "cancelled"
        coming = (await http.get("/v1/schedules/nightly/occurrences")).json()["upcoming"]
        assert next(run for run in coming if run["id"] == later)["exception"] == "cancelled"

        edited = await http.patch(
            "/v1/schedules/nightly", json={"recurrence": {"cron": "0 3 * * *"}}, headers={"if-match": '"1"'}
        )
        assert (edited.status_code, edited.json()["revision"]) == (200, 2)
        stale = await http.patch("/v1/schedules/nightly", json={"note": "x"}, headers={"if-match": '"1"'})
        assert stale.status_code == 412
        assert (await http.get(f"/v1/messages/{following['id']}")).json()["state"] == "cancelled"

        ran = await http.post("/v1/schedules/nightly/trigger")
        assert ran.status_code == 201
        await system.received([ran.json()["occurrence"]])
        paused = await http.post("/v1/schedules/nightly/pause", json={"note": "disk full"})
        assert paused.json()["state"] == "paused"
        listed = (await http.get("/v1/schedules")).json()["schedules"]
        assert [(s["id"], s["paused"]["note"]) for s in listed] == [("nightly", "disk full")]
        assert (await http.post("/v1/schedules/nightly/resume")).json()["state"] == "active"

        filled = await http.post(
            "/v1/schedules/nightly/backfill", json={"from": "2026-01-01T00:00:00Z", "to": "2026-01-03T00:00:00Z"}
        )
        assert filled.json()["runs"] == 2
        await system.received([f"nightly@2026-01-0{day}T02:00:00Z" for day in (1, 2)])

        told: list = []

        async def all_sent() -> bool:
            told[:] = (await http.get("/v1/schedules/nightly/occurrences")).json()["history"]
            return [past["state"] for past in told] == ["sent"] * 3 + ["cancelled"]

        await until(all_sent, 15, lambda: told)
        assert (await http.delete("/v1/schedules/nightly")).json()["state"] == "removed"
        assert (await http.delete("/v1/schedules/nightly")).status_code == 200
        assert (await http.get("/v1/schedules")).json()["schedules"] == []
        assert (await http.post("/v1/schedules/nightly/pause")).status_code == 404


REFUSED = [
    ({"recurrence": {"cron": "0 2 30 2 *"}}, "recurrence.cron"),
    ({"timezone": "Europe/Roma"}, "timezone"),
    ({"message": {"channel": "pigeon"}}, "message.channel"),
    ({"message": {"to": "x"}}, "message.channel"),
    ({"end": "2020-01-01T00:00:00Z"}, "recurrence"),
    ({"id": "a@b"}, "id"),
    ({"missed": "never"}, "missed"),
    ({"catch_up": "PT0.5X"}, "catch_up"),
]


async def test_what_cannot_be_a_schedule_is_refused_by_field_and_pages_of_a_list_hold_each_once(make_system):
    async with running(make_system) as (system, http):
        for over, field in REFUSED:
            answer = await http.post("/v1/schedules", json=definition(system, **over))
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.json()
        for n in range(7):
            assert (await http.post("/v1/schedules", json=definition(system, id=f"s{n}"))).status_code == 201
        found, cursor = [], ""
        while True:
            page = (await http.get("/v1/schedules", params={"limit": 3, "cursor": cursor})).json()
            found += [schedule["id"] for schedule in page["schedules"]]
            cursor = page.get("cursor", "")
            if not cursor:
                break
        assert found == [f"s{n}" for n in range(7)]
        bad = await http.patch("/v1/schedules/s0", json={"timezone": "Nowhere/Land"})
        assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "timezone")
        unknown = await http.patch("/v1/schedules/s0", json={"colour": "red"})
        assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "colour")
        assert (await http.patch("/v1/schedules/none", json={"note": "x"})).status_code == 404


async def test_the_commands_do_the_same(make_system):
    async with running(make_system) as (system, http):
        env = {"CLEPSYDRA_URL": str(http.base_url), "CLEPSYDRA_API_KEY": KEY, "COLUMNS": "200", "NO_COLOR": "1"}

        async def cli(*arguments: str) -> str:
            done = await asyncio.to_thread(CliRunner().invoke, app, ["schedules", *arguments], env=env)
            assert done.exit_code == 0, (done.output, done.exception)
            return "\n".join(
                line for line in done.output.splitlines() if " [info " not in line
            )  # the gateway's, beside it

        at = ("--to", system.receiver.url, "--body", '{"due_ms": 0}')
        assert "active nightly, revision 1, next run" in await cli(
            "add", "nightly", "--cron", "30 2 * * *", "--tz", "Europe/Rome", *at
        )
        await cli("add", "beat", "--every", "15m", "--missed", "skip", "--catch-up", "1h", "--jitter", "10s", *at)
        assert [s["id"] for s in json.loads(await cli("list", "--json"))] == ["beat", "nightly"]
        assert "every PT900S" in await cli("list")
        assert "paused beat" in await cli("pause", "beat", "--note", "why not")
        assert "why not" in await cli("show", "beat")
        assert "active beat" in await cli("resume", "beat")
        assert "revision 2" in await cli("edit", "nightly", "--cron", "0 3 * * *", "--set", '{"note": "later"}')
        run = json.loads(await cli("trigger", "nightly", "--json"))["occurrence"]
        await system.received([run])
        period = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z")
        assert "1 runs made" in await cli("backfill", "nightly", *period)
        shown = await cli("show", "nightly")
        assert "to come" in shown
        assert "0 3 * * *, Europe/Rome" in shown
        assert "removed beat" in await cli("remove", "beat")
        assert len((await cli("preview", "--every", "15m", "-n", "3")).splitlines()) == 4
