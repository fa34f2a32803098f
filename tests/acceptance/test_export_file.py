"""What is exported from one system is imported into another as it was; lists and dead letters through the client."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest_asyncio
from clepsydra_client import AsyncClient
from system import System, new_id, until
from system_gateway import start_gateway
from system_receiver import Reply

from topology.embedded_kafka import EmbeddedKafka

COUNT = 1_500
DUE = datetime(2100, 1, 1, 8, tzinfo=UTC)
MADE = ("channel", "to", "body", "content_type", "headers", "account", "priority", "expires_at", "tags", "metadata")


@pytest_asyncio.fixture
async def database(postgres):
    return await postgres.create_database(new_id("export"))


def client_of(address: dict[str, str]) -> AsyncClient:
    return AsyncClient(address["CLEPSYDRA_URL"], address["CLEPSYDRA_API_KEY"])


async def run(system: System, address: dict[str, str], *arguments: str) -> str:
    process = system.worker("scheduler", arguments[0], [sys.executable, "-m", "gateway.cli", *arguments], **address)
    system.keep(process)
    code = await process.ended(60)
    assert code == 0, process.text()
    return process.text()


def messages():
    for n in range(COUNT):
        body = [f"ü {n}", {"z": n, "a": [None, 1.5]}, b"\x00\xff" + str(n).encode()][n % 3]
        yield {
            "id": f"m-{n}", "due_at": DUE + timedelta(seconds=n), "channel": "webhook", "to": "https://example.com/x",
            "body": body, "headers": {"x-mine": str(n)}, "account": f"a{n % 2}", "priority": n % 10, "tags": ["t"],
            "metadata": {"n": n}, "expires_at": DUE + timedelta(days=1, seconds=n),
        }  # fmt: skip


async def test_what_is_exported_is_imported_as_it_was(make_system, database, kafka: EmbeddedKafka, tmp_path: Path):
    file = tmp_path / "all.ndjson"
    async with make_system(postgres=database) as system:
        address = await start_gateway(system)
        async with client_of(address) as client:
            assert not [line.error async for line in client.messages.bulk(messages()) if line.error]

            async def archived() -> bool:
                return len([m async for m in client.messages.list(limit=1_000)]) == COUNT

            await until(archived, 60)
            found = [m async for m in client.messages.list(account="a1", order="desc", limit=100, bodies=True)]
            assert [m.id for m in found] == [f"m-{n}" for n in reversed(range(1, COUNT, 2))]
            known = {n: await client.messages.get(f"m-{n}") for n in range(0, COUNT, 100)}
        said = await run(system, address, "export", str(file), "--state", "scheduled", "--json")
        assert f'"messages":{COUNT},"left_out":0,"without_body":0' in said
    async with System(kafka.bootstrap, tmp_path / "other") as other:
        address = await start_gateway(other)
        await run(other, address, "import", str(file))
        async with client_of(address) as client:
            for n, message in known.items():
                again = await client.messages.get(f"m-{n}")
                assert again.due_at == message.due_at
                assert [getattr(again, name) for name in MADE] == [getattr(message, name) for name in MADE]


async def test_dead_letters_are_listed_and_retried_through_the_client(make_system, database):
    async with make_system(postgres=database) as system:
        address = await start_gateway(system)
        dead = system.message(new_id("dead"))
        system.receiver.script[dead.id] = [Reply(410, body="gone for good")]
        await system.create(dead)
        await system.all_in("dead", [dead.id])
        async with client_of(address) as client:

            async def listed():
                return [letter async for letter in client.dead_letters.list(state=["dead", "unknown"])]

            (letter,) = await until(listed)
            assert (letter.id, letter.last_response.body) == (dead.id, "gone for good")
            assert (await client.dead_letters.discard(letter.id, target=letter.target)).state == "dead"


async def test_all_that_a_filter_finds_is_cancelled_and_moved(make_system, database):
    async with make_system(postgres=database) as system:
        address = await start_gateway(system)
        async with client_of(address) as client:
            made = [{**message, "id": f"s-{n}"} for n, message in zip(range(20), messages(), strict=False)]
            assert not [line.error async for line in client.messages.bulk(made) if line.error]
            moved = [r async for r in client.messages.reschedule_all(account="a0", by=timedelta(hours=1))]
            assert {r.id for r in moved} == {f"s-{n}" for n in range(0, 20, 2)}
            assert {(r.result, r.revision) for r in moved} == {("accepted", 2)}
            tried = [r async for r in client.messages.cancel_all(tag="t", dry_run=True)]
            assert {r.result for r in tried} == {"would_cancel"}
            done = [r async for r in client.messages.cancel_all(tag="t")]
            assert len(done) == 20
            assert {(r.result, r.state) for r in done} == {("cancelled", "cancelled")}
            assert (await client.messages.get("s-0")).due_at == DUE + timedelta(hours=1)
