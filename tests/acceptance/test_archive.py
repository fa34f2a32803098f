"""The archive: what was told is listed, once, whatever dies; what does not need it does not notice."""

import pytest_asyncio
from running_gateway import gateway
from system import new_id, until
from system_receiver import Reply

from schemas.commands import Create
from topology.archive import Archive, Filter
from topology.event_ends import event_ends
from topology.producer import Kafka

KEY = "k" * 16


@pytest_asyncio.fixture
async def database(postgres):
    return await postgres.create_database(new_id("archive"))


async def ends(system):
    kafka = Kafka(system.settings.brokers)
    await kafka.start()
    try:
        return await event_ends(kafka, system.names.events, system.settings.partitions)
    finally:
        await kafka.stop()


async def accepted(system, messages):
    answers = await system.insist(Create(command_id=new_id(), message=m, allow_past=True) for m in messages)
    assert {a.result for a in answers.values()} == {"accepted"}


async def listed(archive, **wanted):
    return {row["id"]: row["state"] for row in (await archive.messages(Filter(**wanted), limit=100_000)).rows}


async def test_what_is_sent_is_listed_as_delivered(make_system, database):
    async with make_system(postgres=database) as system, Archive(system.settings) as archive:
        ids = [new_id() for _ in range(300)]
        await accepted(system, [system.message(id_, account="acme") for id_ in ids])
        await system.received(ids)
        await system.all_in("delivered", ids)
        assert await archive.caught_up(await ends(system), 20), system.archivist.text()[-3000:]
        assert await listed(archive) == dict.fromkeys(ids, "delivered")
        page = await archive.messages(Filter(account="acme", states=("delivered",)), limit=1000)
        assert len(page.rows) == 300

        assert await system.archivist.stop() == 0, system.archivist.text()[-3000:]


async def test_lists_come_over_http_page_by_page_and_say_as_of_when(make_system, database):
    async with make_system(postgres=database, api_key=KEY) as system, gateway(system.settings, KEY) as client:
        ids = [new_id() for _ in range(25)]
        await accepted(system, [system.message(id_, in_s=3_600, account="acme", tags=["t"]) for id_ in ids])
        dead = system.message(new_id("dead"))
        system.receiver.script[dead.id] = [Reply(410, body="gone for good")]
        await accepted(system, [dead])
        await system.all_in("dead", [dead.id])

        async def page(path="/v1/messages", **params):
            answer = await client.get(path, params=params)
            assert answer.status_code == 200, answer.text
            return answer.json()

        async def letters():
            return (await page("/v1/dead-letters"))["dead_letters"]

        (letter,) = await until(letters)
        assert (letter["id"], letter["state"], letter["to"]) == (dead.id, "dead", system.receiver.url)
        assert letter["last_response"]["body"] == "gone for good"
        found, cursor = [], None
        while True:
            got = await page(account="acme", state="scheduled", limit="10", **({"cursor": cursor} if cursor else {}))
            found += [message["id"] for message in got["messages"]]
            cursor = got.get("cursor")
            if cursor is None:
                break
        assert sorted(found) == sorted(ids)
        assert got["as_of"] is not None
        (whole,) = (await page(q=ids[0], bodies="true"))["messages"]
        assert whole["body"]["text"] == "first"
        assert "body" not in (await page(q=ids[0]))["messages"][0]
        wrong = await client.get("/v1/messages", params={"stat": "dead"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "stat")


async def test_without_an_archive_lists_say_so_and_everything_else_works(make_system):
    async with make_system(api_key=KEY) as system, gateway(system.settings, KEY) as client:
        for path in ("/v1/messages", "/v1/dead-letters"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:clepsydra:problem:archive_unavailable")
            assert "CLEPSYDRA_POSTGRES" in answer.json()["detail"]
        id_ = new_id()
        await accepted(system, [system.message(id_)])
        await system.received([id_])
        assert (await client.get(f"/v1/messages/{id_}")).status_code == 200
