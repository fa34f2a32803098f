"""The archive: what was told is listed, once, whatever dies; what does not need it does not notice."""

import os
import tempfile
from pathlib import Path

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from running_gateway import gateway
from system import new_id, now_ms, spread, until
from system_receiver import Reply

from gateway.doctor import examine
from schemas.commands import Create
from topology.archive import Archive, Filter
from topology.archive_errors import ArchiveAwayError
from topology.archive_rebuild import rebuild
from topology.embedded_postgres import EmbeddedPostgres
from topology.event_ends import event_ends
from topology.postgres import schema_of
from topology.producer import Kafka

KEY = "k" * 16
AWAY_S = float(os.environ.get("CLEPSYDRA_TEST_POSTGRES_AWAY", "4"))
LATE_MS_MAX = 1_000
TABLES = {"events": "event_id", "messages": "id, birth", "deliveries": "id, birth, target"}


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


async def caught_up(system, archive, archivist):
    await until(lambda: archivist.told("archive_ready"), 30, lambda: archivist.text()[-3000:])
    assert await archive.caught_up(await ends(system), 30), archivist.text()[-3000:]


async def archive_by_doctor(client, key=KEY):
    """What it finds of a gateway's archive, in a shell that knows only where the gateway is."""
    found = {each.check: each for each in await examine(str(client.base_url), key, now_ms())}["archive"]
    return found.verdict, found.remedy[:23].strip()


async def listed(archive, **wanted):
    return {row["id"]: row["state"] for row in (await archive.messages(Filter(**wanted), limit=100_000)).rows}


async def test_what_is_sent_is_listed_as_delivered(make_system, database):
    async with make_system(postgres=database) as system, Archive(system.settings) as archive:
        ids = [new_id() for _ in range(300)]
        await accepted(system, [system.message(id_, account="acme") for id_ in ids])
        await system.received(ids)
        await system.all_in("delivered", ids)
        await caught_up(system, archive, system.archivist)
        assert await listed(archive) == dict.fromkeys(ids, "delivered")
        page = await archive.messages(Filter(account="acme", states=("delivered",)), limit=1000)
        assert len(page.rows) == 300

        assert await system.archivist.stop() == 0, system.archivist.text()[-3000:]


async def test_lists_come_over_http_page_by_page_and_say_as_of_when(make_system, database):
    async with make_system(postgres=database, api_key=KEY) as system, gateway(system.settings, KEY) as client:
        ids = [new_id() for _ in range(25)]
        await accepted(system, [system.message(id_, in_s=3_600, account="acme", tags=["t"]) for id_ in ids])
        dead = system.message(new_id("dead"))
        system.receiver.script[dead.id] = [Reply(404, body="gone for good")]
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
        assert await archive_by_doctor(client) == ("ok", "")
        wrong = await client.get("/v1/messages", params={"stat": "dead"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "stat")


async def test_without_an_archive_lists_say_so_and_everything_else_works(make_system):
    async with make_system(api_key=KEY) as system, gateway(system.settings, KEY) as client:
        for path in ("/v1/messages", "/v1/dead-letters"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:clepsydra:problem:archive_unavailable")
            assert "CLEPSYDRA_POSTGRES" in answer.json()["detail"]
        assert await archive_by_doctor(client) == ("note", "set CLEPSYDRA_POSTGRES")
        id_ = new_id()
        await accepted(system, [system.message(id_)])
        await system.received([id_])
        assert (await client.get(f"/v1/messages/{id_}")).status_code == 200


async def all_rows(system):
    """Every row of the archive but the times as of which it is complete."""
    db = await asyncpg.connect(system.settings.postgres, server_settings={"search_path": schema_of(system.settings)})
    try:
        found = {t: [dict(r) for r in await db.fetch(f"SELECT * FROM {t} ORDER BY {by}")] for t, by in TABLES.items()}
        found["offsets"] = [dict(r) for r in await db.fetch("SELECT partition, next FROM offsets ORDER BY 1")]
    finally:
        await db.close()
    return found


async def a_varied_life(system):
    """Messages in every state that this can bring about."""
    names = ("sent", "later", "edited", "cancelled", "dead", "retried", "two")
    ids = {name: new_id(name) for name in names}
    system.receiver.script |= {ids["dead"]: [Reply(404)], ids["retried"]: [Reply(500, body="not now")]}
    due_in = {"later": 3_600, "edited": 3_600, "cancelled": 3_600}
    more = {
        "later": {"account": "acme", "tags": ["a", "b"], "metadata": {"k": "\0"}},
        "two": {"targets": [{"channel": "webhook", "to": system.receiver.url}, {"channel": "log", "to": ""}]},
        "retried": {"retry": {"delays": ["PT0.5S"]}},
    }
    await accepted(system, [system.message(ids[n], due_in.get(n, 0), **more.get(n, {})) for n in names])
    assert (await system.edit(ids["edited"], body="second", tags=("new",))).result == "accepted"
    assert (await system.cancel(ids["cancelled"])).result == "cancelled"
    await system.all_in("delivered", [ids["sent"], ids["two"], ids["retried"]])
    await system.all_in("dead", [ids["dead"]])
    assert (await system.cancel(ids["sent"])).result == "too_late"
    return ids


async def test_an_archive_that_was_dropped_is_rebuilt_from_the_log_with_the_same_rows(make_system, database):
    async with make_system(postgres=database) as system, Archive(system.settings) as archive:
        await a_varied_life(system)
        await caught_up(system, archive, system.archivist)
        before = await all_rows(system)
        assert {m["state"] for m in before["messages"]} == {"delivered", "scheduled", "cancelled", "dead"}
        db = await asyncpg.connect(database)
        await db.execute(f"DROP SCHEMA {schema_of(system.settings)} CASCADE")
        await db.close()
        told = []
        made = await rebuild(system.settings, told.append, lambda count: told.append(-count))
        assert await all_rows(system) == before
        assert (made.events, made.messages, made.unreadable) == (len(before["events"]), len(before["messages"]), 0)
        assert told[0] >= -sum(told[1:]) > 0
        # the archivist, which ran all along, goes on in the new tables
        ids = [new_id("after") for _ in range(20)]
        await accepted(system, [system.message(id_) for id_ in ids])
        await system.all_in("delivered", ids)
        await caught_up(system, archive, system.archivist)
        assert await listed(archive, id_prefix="after") == dict.fromkeys(ids, "delivered")
        assert system.archivist.running


async def test_live_messages_whose_events_are_gone_are_rebuilt_from_their_rows(make_system, database):
    async with make_system(postgres=database) as system, Archive(system.settings) as archive:
        ids = await a_varied_life(system)
        await caught_up(system, archive, system.archivist)
        before = {m["id"]: m for m in (await all_rows(system))["messages"]}
        await delete_events(system)
        await rebuild(system.settings, lambda _: None, lambda _: None)
        after = {m["id"]: m for m in (await all_rows(system))["messages"]}
        for name in ("later", "edited"):
            known = before[ids[name]] | {"position": -1}
            assert after[ids[name]] == known
        assert after.keys() == before.keys()
        assert {m["state"] for m in after.values()} == {m["state"] for m in before.values()}


async def delete_events(system):
    """As retention does after 30 days."""
    admin = AIOKafkaAdminClient(bootstrap_servers=system.settings.brokers)
    await admin.start()
    try:
        await admin.delete_records(
            {
                TopicPartition(system.names.events, n): RecordsToDelete(before_offset=end)
                for n, end in (await ends(system)).items()
            }
        )
    finally:
        await admin.close()


async def readiness(session, url, wanted):
    """What /readyz says, when it says it with this status."""
    async with session.get(f"{url}/readyz") as response:
        text = await response.text()
        return text if response.status == wanted else None


async def test_postgres_killed_under_load_makes_nothing_late_and_leaves_nothing_out(make_system):
    with tempfile.TemporaryDirectory(prefix="clepsydra-postgres-", ignore_cleanup_errors=True) as directory:
        postgres = EmbeddedPostgres(Path(directory))
        made = make_system(postgres=await postgres.start(), health_port=0)
        async with made as system, Archive(system.settings) as archive, aiohttp.ClientSession() as session:
            (told,) = await until(lambda: system.archivist.told("health_served"))
            await until(lambda: readiness(session, told["url"], 200))
            per_second, lasting_s = 200, int(AWAY_S) + 6
            begin = now_ms() + 3_000
            times = list(spread(begin, per_second, per_second * lasting_s))
            ids = [f"m-{n}" for n in range(len(times))]
            await accepted(system, [system.message(i, due_ms=due) for i, due in zip(ids, times, strict=True)])
            await until(lambda: len(system.receiver.arrivals) > per_second, 30)
            postgres.kill()
            killed_ms = now_ms()
            with pytest.raises(ArchiveAwayError):
                await archive.messages(Filter())
            await until(lambda: now_ms() > killed_ms + AWAY_S * 1_000, AWAY_S + 5)
            assert system.archivist.told("archive_away")
            assert "postgres" in await until(lambda: readiness(session, told["url"], 503))
            await postgres.start()
            await system.received(ids)
            await system.all_in("delivered", ids)
            late = [a for a in system.receiver.arrivals if a.at_ms - a.body["due_ms"] > LATE_MS_MAX]
            assert [(a.key, a.at_ms - a.body["due_ms"]) for a in late] == []
            await caught_up(system, archive, system.archivist)
            assert await listed(archive) == dict.fromkeys(ids, "delivered")
            assert dict(await archive.counts())["events"] == 3 * len(ids)
            assert system.archivist.running
            assert system.archivist.told("archive_back")
            await until(lambda: readiness(session, told["url"], 200))
        await postgres.stop()


async def test_two_archivists_share_the_work_and_one_that_is_killed_is_replaced(make_system, database):
    async with make_system(postgres=database) as system, Archive(system.settings) as archive:
        second = system.keep(system.worker("archivist", "archivist-2"))
        ids = [new_id() for _ in range(400)]
        for part in range(4):
            await accepted(system, [system.message(id_) for id_ in ids[part * 100 : part * 100 + 100]])
            if part == 1:
                system.archivist.kill()
        await system.all_in("delivered", ids)
        await caught_up(system, archive, second)
        assert await listed(archive) == dict.fromkeys(ids, "delivered")
        assert dict(await archive.counts())["events"] == 3 * len(ids)
        assert await second.stop() == 0, second.text()[-3000:]
