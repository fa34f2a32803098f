"""What is exported from one system is imported into another as it was; lists and dead letters through the client."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from clepsydra_client import AsyncClient
from system import System, new_id, until
from system_gateway import start_gateway
from system_receiver import Reply

from topology.embedded_kafka import EmbeddedKafka

COUNT = 1_500
DUE = datetime(2100, 1, 1, 8, tzinfo=UTC)
MADE = ("channel", "to", "body", "content_type", "headers", "account", "priority", "expires_at", "tags", "metadata")


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archived(kafka: EmbeddedKafka, postgres, tmp_path_factory: pytest.TempPathFactory):
    """A system with an archive, for all tests of this file: they take ids of their own."""
    database = await postgres.create_database(new_id("export"))
    async with System(kafka.bootstrap, tmp_path_factory.mktemp("archived"), postgres=database) as system:
        yield system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(archived: System):
    return await start_gateway(archived)


def client_of(address: dict[str, str]) -> AsyncClient:
    return AsyncClient(address["CLEPSYDRA_URL"], address["CLEPSYDRA_API_KEY"])


async def run(system: System, address: dict[str, str], *arguments: str) -> str:
    process = system.worker("scheduler", arguments[0], [sys.executable, "-m", "gateway.cli", *arguments], **address)
    system.keep(process)
    code = await process.ended(60)
    assert code == 0, process.text()
    return process.text()


def messages(name: str, count: int):
    for n in range(count):
        body = [f"ü {n}", {"z": n, "a": [None, 1.5]}, b"\x00\xff" + str(n).encode()][n % 3]
        yield {
            "id": f"{name}-{n}", "due_at": DUE + timedelta(seconds=n), "channel": "webhook", "to": "https://example.com/x",
            "body": body, "headers": {"x-mine": str(n)}, "account": f"{name}{n % 2}", "priority": n % 10, "tags": [name],
            "metadata": {"n": n}, "expires_at": DUE + timedelta(days=1, seconds=n),
        }  # fmt: skip


async def test_what_is_exported_is_imported_as_it_was(archived: System, address, kafka: EmbeddedKafka, tmp_path: Path):
    file = tmp_path / "all.ndjson"
    async with client_of(address) as client:
        assert not [line.error async for line in client.messages.bulk(messages("m", COUNT)) if line.error]

        async def listed() -> bool:
            return len([m async for m in client.messages.list(q="m-", limit=1_000)]) == COUNT

        await until(listed, 60)
        found = [m async for m in client.messages.list(account="m1", order="desc", limit=100, bodies=True)]
        assert [m.id for m in found] == [f"m-{n}" for n in reversed(range(1, COUNT, 2))]
        known = {n: await client.messages.get(f"m-{n}") for n in range(0, COUNT, 100)}
    said = await run(archived, address, "export", str(file), "--state", "scheduled", "--prefix", "m-", "--json")
    assert f'"messages":{COUNT},"left_out":0,"without_body":0' in said
    async with System(kafka.bootstrap, tmp_path / "other") as other:
        elsewhere = await start_gateway(other)
        await run(other, elsewhere, "import", str(file))
        async with client_of(elsewhere) as client:
            for n, message in known.items():
                again = await client.messages.get(f"m-{n}")
                assert again.due_at == message.due_at
                assert [getattr(again, name) for name in MADE] == [getattr(message, name) for name in MADE]


async def test_dead_letters_are_listed_and_discarded_through_the_client(archived: System, address):
    dead = archived.message(new_id("dead"))
    archived.receiver.script[dead.id] = [Reply(410, body="gone for good")]
    await archived.create(dead)
    await archived.all_in("dead", [dead.id])
    async with client_of(address) as client:

        async def listed():
            return [letter async for letter in client.dead_letters.list(state=["dead", "unknown"])]

        (letter,) = await until(listed)
        assert (letter.id, letter.last_response.body) == (dead.id, "gone for good")
        assert (await client.dead_letters.discard(letter.id, target=letter.target)).state == "dead"


async def test_all_that_a_filter_finds_is_moved_and_cancelled(archived: System, address):
    async with client_of(address) as client:
        assert not [line.error async for line in client.messages.bulk(messages("s", 20)) if line.error]
        moved = [r async for r in client.messages.reschedule_all(account="s0", by=timedelta(hours=1))]
        assert {r.id for r in moved} == {f"s-{n}" for n in range(0, 20, 2)}
        assert {(r.result, r.revision) for r in moved} == {("accepted", 2)}
        tried = [r async for r in client.messages.cancel_all(tag="s", dry_run=True)]
        assert {r.result for r in tried} == {"would_cancel"}
        done = [r async for r in client.messages.cancel_all(tag="s")]
        assert len(done) == 20
        assert {(r.result, r.state) for r in done} == {("cancelled", "cancelled")}
        assert (await client.messages.get("s-0")).due_at == DUE + timedelta(hours=1)
