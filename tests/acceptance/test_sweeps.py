"""Cancel and reschedule by filter, with everything real: nothing that was accepted is missed, each answer is exact."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import pytest_asyncio
from system import System, new_id
from system_gateway import started_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")
DUE = datetime(2100, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def swept(kafka, postgres, tmp_path_factory):
    database = await postgres.create_database(new_id("sweeps"))
    async with (
        System(kafka.bootstrap, tmp_path_factory.mktemp("sweeps"), postgres=database) as system,
        started_gateway(system, "gateway") as gateway,
    ):
        yield system, gateway.http


async def bulk(http, account, count, **fields):
    """Accepted messages of an account; their ids."""
    lines = [
        {"id": new_id(), "account": account, "due_at": DUE.isoformat(), "channel": "log", "body": n} | fields
        for n in range(count)
    ]
    answer = await http.post("/v1/messages/bulk", content=b"\n".join(map(msgspec.json.encode, lines)))
    assert {msgspec.json.decode(line)["status"] for line in answer.content.splitlines()} == {201}
    return [line["id"] for line in lines]


async def sweep(http, what, **fields):
    answer = await http.post(f"/v1/messages/{what}", json=fields)
    assert answer.status_code == 200, answer.text
    return [msgspec.json.decode(line) for line in answer.content.splitlines()]


async def test_what_was_accepted_just_before_is_cancelled_and_nothing_else(swept):
    system, http = swept
    for _ in range(5):
        account = new_id("account")
        mine, others = await asyncio.gather(bulk(http, account, 700), bulk(http, new_id("other"), 50))
        found = await sweep(http, "cancel", account=account)
        assert sorted(a["id"] for a in found) == sorted(mine)
        assert {a["result"] for a in found} == {"cancelled"}
        assert set((await system.states(others)).values()) == {"scheduled"}
    assert await sweep(http, "cancel", account=account) == []


async def test_a_dry_run_names_the_same_and_does_nothing(swept):
    system, http = swept
    ids = await bulk(http, account := new_id("account"), 20)
    found = await sweep(http, "cancel", account=account, dry_run=True)
    assert sorted(a["id"] for a in found) == sorted(ids)
    assert {(a["result"], a["state"]) for a in found} == {("would_cancel", "scheduled")}
    assert set((await system.states(ids)).values()) == {"scheduled"}


async def test_each_is_moved_once_by_the_same_and_a_repeat_with_its_key_moves_none_again(swept):
    _, http = swept
    ids = await bulk(http, account := new_id("account"), 1_200)
    wanted = {"account": account, "by": "PT1H"}
    for _ in range(2):
        answer = await http.post("/v1/messages/reschedule", json=wanted, headers={"Idempotency-Key": account})
        found = [msgspec.json.decode(line) for line in answer.content.splitlines()]
        assert sorted(a["id"] for a in found) == sorted(ids)
        assert {a["result"] for a in found} == {"accepted"}
        assert {datetime.fromisoformat(a["due_at"]) for a in found} == {DUE + timedelta(hours=1)}
    there = await sweep(http, "reschedule", account=account, due_at=DUE.isoformat(), due_from=DUE.isoformat())
    assert {a["revision"] for a in there} == {3}


async def test_what_is_due_in_a_period_is_found_by_its_tag_and_channel(swept):
    _, http = swept
    tag = new_id("tag")
    inside = await bulk(http, "acme", 3, tags=[tag], due_at="2101-01-01T10:00:00Z")
    await bulk(http, "acme", 3, tags=[tag], due_at="2101-01-01T11:00:00Z")
    period = {"due_from": "2101-01-01T10:00:00Z", "due_to": "2101-01-01T11:00:00Z"}
    assert await sweep(http, "cancel", tag=tag, channel="webhook", **period) == []
    found = await sweep(http, "cancel", tag=tag, channel="log", **period)
    assert sorted(a["id"] for a in found) == sorted(inside)


async def test_without_a_filter_or_with_a_wrong_one_nothing_is_done(swept):
    _, http = swept
    for body in ({}, {"dry_run": True}, {"acount": "x"}, {"account": "x", "due_from": "tomorrow"}):
        assert (await http.post("/v1/messages/cancel", json=body)).status_code == 422


async def test_an_archive_that_stands_still_is_503_with_the_reason_and_nothing_is_done(swept):
    system, http = swept
    system.archivist.freeze()
    try:
        ids = await bulk(http, account := new_id("account"), 10)
        answer = await http.post("/v1/messages/cancel", json={"account": account})
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:clepsydra:problem:archive_behind")
        assert "archivist" in answer.json()["detail"]
        assert set((await system.states(ids)).values()) == {"scheduled"}
    finally:
        system.archivist.thaw()
