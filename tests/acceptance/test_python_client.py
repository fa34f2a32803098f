"""The Python client against a real gateway, a real owner and a real receiver."""

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from clepsydra_client import AsyncClient, Client, Conflict, NotFound, Refused, RevisionMismatch, TooLate, Unauthorized
from system import System, new_id
from system_gateway import start_gateway
from system_process import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="module")
README = (ROOT / "clients/python/README.md").read_text()


def later(seconds: float = 3600) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(shared: System):
    return await start_gateway(shared)


@pytest_asyncio.fixture(loop_scope="module")
async def client(address):
    async with AsyncClient(address["CLEPSYDRA_URL"], address["CLEPSYDRA_API_KEY"]) as client:
        yield client


async def test_a_message_is_made_read_changed_and_cancelled(client: AsyncClient, shared: System):
    id_, due = new_id("a/b"), later()
    made = await client.messages.create(
        id=id_, due_at=due, channel="webhook", to=shared.receiver.url, body={"z": 1, "a": [2]}, tags=["t"]
    )
    assert (made.id, made.state, made.revision, made.repeated) == (id_, "scheduled", 1, False)
    assert abs(made.due_at - due) < timedelta(milliseconds=1)
    found = await client.messages.get(id_)
    assert (found.body, found.tags, found.deliveries[0].state) == ({"z": 1, "a": [2]}, ("t",), "scheduled")
    assert (await client.messages.edit(id_, if_match=1, body="other")).revision == 2
    with pytest.raises(RevisionMismatch) as caught:
        await client.messages.edit(id_, if_match=1, body="third")
    assert caught.value.revision == 2
    done = await client.messages.cancel(id_)
    assert (done.state, done.results) == ("cancelled", {"0": "cancelled"})


async def test_what_is_sent_now_arrives_and_is_then_too_late_to_change(client: AsyncClient, shared: System):
    id_ = new_id()
    await client.messages.create(
        id=id_, due_at=later(), channel="webhook", to=shared.receiver.url, body={"due_ms": 0, "text": "hi"}
    )
    await client.messages.send_now(id_)
    await shared.received([id_])
    await shared.all_in("delivered", [id_])
    with pytest.raises(TooLate) as caught:
        await client.messages.edit(id_, priority=1)
    assert caught.value.state == "delivered"
    assert (await client.messages.get(id_)).deliveries[0].last_response.status == 200
    await client.messages.erase(id_)
    assert (await client.messages.get(id_)).erased


async def test_refusals_are_typed_and_say_what_to_do(client: AsyncClient, address):
    id_ = new_id()
    with pytest.raises(NotFound):
        await client.messages.get(id_)
    with pytest.raises(Refused) as caught:
        await client.messages.create(due_at=later(), channel="pigeon")
    assert (caught.value.field, bool(caught.value.remedy)) == ("channel", True)
    await client.messages.create(id=id_, due_at="2100-01-01T00:00:00Z", channel="log", body=1)
    assert (await client.messages.create(id=id_, due_at="2100-01-01T00:00:00Z", channel="log", body=1)).repeated
    with pytest.raises(Conflict):
        await client.messages.create(id=id_, due_at="2100-01-01T00:00:00Z", channel="log", body=2)
    async with AsyncClient(address["CLEPSYDRA_URL"], "no-key-that-is-known") as stranger:
        with pytest.raises(Unauthorized):
            await stranger.messages.get(id_)


async def test_a_key_makes_one_message_of_many_requests(client: AsyncClient):
    key, due = new_id(), later()
    made = await asyncio.gather(
        *(client.messages.create(due_at=due, channel="log", body="x", idempotency_key=key) for _ in range(5))
    )
    assert len({each.id for each in made}) == 1


async def test_many_are_answered_each_and_the_bad_ones_refuse_themselves(client: AsyncClient):
    name = new_id()
    messages = [
        {"id": f"{name}-{n}", "due_at": later(), "channel": "log" if n % 100 else "pigeon", "body": n}
        for n in range(2_500)
    ]
    lines = [line async for line in client.messages.bulk(messages)]
    assert [line.number for line in lines] == list(range(1, 2_501))
    refused = [line for line in lines if line.error is not None]
    assert [line.id for line in refused] == [f"{name}-{n}" for n in range(0, 2_500, 100)]
    assert {type(line.error) for line in refused} == {Refused}
    again = [line async for line in client.messages.bulk(messages, lines=700)]
    assert sum(line.accepted.repeated for line in again if line.accepted) == 2_475


async def test_the_blocking_client_does_the_same(address):
    def work():
        with Client(address["CLEPSYDRA_URL"], address["CLEPSYDRA_API_KEY"]) as client:
            name = new_id()
            lines = list(
                client.messages.bulk({"id": f"{name}-{n}", "due_at": later(), "channel": "log"} for n in range(1_200))
            )
            return client.messages.get(f"{name}-1199").state, len(lines), client.partitions()[0].silent

    assert await asyncio.to_thread(work) == ("scheduled", 1_200, False)


async def test_limits_of_a_flow_are_set_and_removed(client: AsyncClient):
    flow = new_id()
    assert (await client.flows.set(flow, rate=5, per=timedelta(seconds=2), note="slow")).rate == 5
    assert (await client.flows.get(flow)).note == "slow"
    assert flow in [each.key for each in await client.flows.list()]
    await client.flows.remove(flow)
    with pytest.raises(NotFound):
        await client.flows.get(flow)


async def test_windows_count_what_is_due(client: AsyncClient):
    due = later(600)
    for n in range(3):
        await client.messages.create(id=new_id(str(n)), due_at=due, channel="log")
    for _ in range(100):
        windows = await client.windows(due - timedelta(minutes=1), due + timedelta(minutes=1))
        if sum(window.pending for window in windows) >= 3:
            break
        await asyncio.sleep(0.1)
    assert sum(window.pending for window in windows) >= 3


async def test_a_schedule_is_made_previewed_run_and_removed(client: AsyncClient, shared: System):
    id_ = new_id("nightly")
    made = await client.schedules.create(
        id=id_, recurrence={"cron": "0 2 * * *"}, timezone="Europe/Rome", message={"channel": "log", "body": {"a": 1}}
    )
    assert (made.state, made.revision, made.repeated) == ("active", 1, False)
    seen = await client.schedules.get(id_)
    assert seen.upcoming[0].due_at == made.next_due_at
    shown = await client.schedules.preview({"cron": "0 2 * * *"}, timezone="Europe/Rome", count=2)
    assert shown.occurrences[0] == made.next_due_at
    run = await client.schedules.trigger(id_)
    await shared.all_in("delivered", [run])
    assert (await client.schedules.edit(id_, if_match=1, note="why")).revision == 2
    assert (await client.schedules.pause(id_, note="full")).state == "paused"
    assert id_ in [each.id async for each in client.schedules.list(limit=2)]
    assert (await client.schedules.resume(id_)).state == "active"
    await client.schedules.remove(id_)
    assert (await client.schedules.get(id_)).state == "removed"


async def test_channels_are_told(client: AsyncClient):
    found = {channel.name: channel for channel in await client.channels()}
    assert found["webhook"].usable
    assert found["webhook"].retry_delays


@pytest.mark.parametrize("block", re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
async def test_the_examples_of_its_readme_run(shared: System, address, block: str):
    code = block.replace('Client("http://127.0.0.1:8080", key="...")', "Client()").replace(
        "https://example.com/hook", shared.receiver.url
    )
    process = shared.keep(shared.worker("scheduler", "readme", [sys.executable, "-c", code], **address))
    assert await process.ended(30) == 0, process.text()
