"""The settings topic on a real Kafka: read whole, followed, read again after a write; what cannot be read hurts itself."""

import asyncio
import time
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest
import pytest_asyncio

from agents.ports import Record
from schemas.settings_records import ApiKey
from schemas.wire import NewerRecordError
from topology.producer import Kafka
from topology.settings_table import SettingsTable
from topology.topic_admin import create_topics
from topology.topics import TopicNames, topic_specs


@pytest_asyncio.fixture
async def world(kafka):
    world = Kafka(kafka.bootstrap)
    await world.start()
    yield world
    await world.stop()


@pytest_asyncio.fixture
async def topic(world):
    return await make(world, f"{uuid.uuid4()}.settings")


async def make(world, topic):
    """Waits for the deletion of one of the same name to end."""
    names = TopicNames(topic.removesuffix("settings"))
    specs = [s for s in topic_specs(names, (), partitions=1, due_partitions=1, replication=1) if s.name == topic]
    async with asyncio.timeout(20):
        while not (await create_topics(world.admin, specs, replication=1)).made:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return topic


@asynccontextmanager
async def table(world, topic, broken=pytest.fail):
    table = SettingsTable(world, topic, broken)
    await table.start()
    try:
        yield table
    finally:
        await table.stop()


@asynccontextmanager
async def another_process(kafka, topic):
    world = Kafka(kafka.bootstrap)
    await world.start()
    try:
        async with table(world, topic) as other:
            yield other
    finally:
        await world.stop()


def api_key(key="k1", **fields):
    known = {
        "name": "ci",
        "scopes": ("read",),
        "sha256": "00",
        "ending": "wxyz",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return ApiKey(key=key, **(known | fields))


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_what_was_put_is_there_at_once_and_after_a_start(world, topic, kafka):
    async with table(world, topic) as here:
        assert here.get(ApiKey, "k1") is None
        await here.put(api_key())
        assert here.get(ApiKey, "k1") == api_key()
        await here.put(api_key(name="new"))
        await here.put(api_key("k2"))
        await here.put(api_key("k3"))
        await here.remove(ApiKey, "k2")
        assert here.get(ApiKey, "k2") is None
    async with another_process(kafka, topic) as there:
        assert there.all(ApiKey) == {"k1": api_key(name="new"), "k3": api_key("k3")}


async def test_a_change_is_seen_by_others_within_a_hundred_milliseconds(world, topic, kafka):
    async with table(world, topic) as here, another_process(kafka, topic) as there:
        await here.put(api_key("first"))
        seen = []
        there.on_change(ApiKey, lambda key, record: seen.append((key, record)))
        took = []
        for n in range(20):
            await here.put(api_key(f"k{n}"))
            began = time.monotonic()
            await until(lambda n=n: there.get(ApiKey, f"k{n}") is not None)
            took.append(time.monotonic() - began)
        await here.remove(ApiKey, "k0")
        await until(lambda: there.get(ApiKey, "k0") is None)
        await until(lambda: len(seen) == 22)
        assert [key for key, _ in seen] == ["first", *(f"k{n}" for n in range(20)), "k0"]
        assert seen[-1] == ("k0", None)
        assert sorted(took)[10] < 0.1


async def test_many_writes_at_once_are_all_there(world, topic):
    async with table(world, topic) as here:
        await asyncio.gather(*(here.put(api_key(f"k{n}")) for n in range(500)))
        assert len(here.all(ApiKey)) == 500


async def test_what_cannot_be_read_leaves_the_others_and_what_was_set_before(world, topic, kafka):
    async with table(world, topic) as here:
        await here.put(api_key())
        bad = [b"\xff nonsense", b'{"kind":"api_key","v":1}', b'{"kind":"of-later","v":1,"key":"x"}']
        await world.log(topic, 0).append([Record(b"api_key/k1", value) for value in bad])
        await here.put(api_key("k2"))
        assert here.all(ApiKey) == {"k1": api_key(), "k2": api_key("k2")}
    async with another_process(kafka, topic) as there:
        assert there.all(ApiKey).keys() == {"k1", "k2"}


async def test_what_a_newer_release_wrote_ends_those_who_follow_and_those_who_start(world, topic):
    newer = msgspec.json.encode(msgspec.to_builtins(api_key()) | {"v": 2, "news": True})
    ended = []
    async with table(world, topic, ended.append):
        await world.log(topic, 0).append([Record(b"api_key/k1", newer)])
        await until(lambda: ended)
    assert isinstance(ended[0], NewerRecordError)
    with pytest.raises(NewerRecordError, match="version 2"):
        await SettingsTable(world, topic, pytest.fail).start()


async def test_a_topic_made_anew_is_read_from_its_start(world, topic):
    async with table(world, topic) as here:
        await asyncio.gather(*(here.put(api_key(f"k{n}")) for n in range(5)))
        seen = []
        here.on_change(ApiKey, lambda key, record: seen.append((key, record)))
        await world.admin.delete_topics([topic])
        await make(world, topic)
        await until(lambda: not here.all(ApiKey))
        assert seen[5:] == [(f"k{n}", None) for n in range(5)]
        await here.put(api_key("new"))
        assert here.all(ApiKey) == {"new": api_key("new")}
