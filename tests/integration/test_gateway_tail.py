"""Reading topics for people, from a real broker."""

from uuid import uuid4

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from stand_in_owner import make_topics

from gateway.errors import UserError
from gateway.tail import Tail, tail_topic
from topology.embedded_kafka import EmbeddedKafka
from topology.settings import Settings


@pytest.fixture
async def settings(kafka: EmbeddedKafka) -> Settings:
    settings = Settings(brokers=kafka.bootstrap, prefix=f"tail-{uuid4().hex[:8]}.", partitions=2)
    await make_topics(settings)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        topic = f"{settings.prefix}events"
        await producer.send_and_wait(topic, b'[{"id":"a","n":1},{"id":"b","n":2}]', partition=0)
        await producer.send_and_wait(topic, b'{"id":"a","n":3}', key=b"a", partition=1)
        await producer.send_and_wait(topic, None, key=b"a", partition=1)
    return settings


async def shown(settings: Settings, **wanted: object) -> list[tuple[int, int, object]]:
    lines: list[str] = []
    tail = Tail(**{"name": "events", "follow": False, "from_beginning": True, **wanted})
    await tail_topic(settings, tail, lines.append)
    found = [msgspec.json.decode(line) for line in lines]
    rows = [(each["partition"], each["offset"], each["value"]) for each in found]
    return sorted(rows, key=lambda row: row[:2])


async def test_all_that_is_there_is_shown_and_then_it_ends(settings: Settings):
    assert await shown(settings) == [
        (0, 0, {"id": "a", "n": 1}), (0, 0, {"id": "b", "n": 2}), (1, 0, {"id": "a", "n": 3}), (1, 1, None)
    ]  # fmt: skip
    assert await shown(settings, name=f"{settings.prefix}events", message_id="b") == [(0, 0, {"id": "b", "n": 2})]


async def test_following_ends_at_the_limit(settings: Settings):
    assert len(await shown(settings, follow=True, limit=2)) == 2


async def test_an_empty_topic_ends_at_once(settings: Settings):
    assert await shown(settings, name="acks") == []


async def test_an_unknown_topic_is_told_with_those_there_are(settings: Settings):
    with pytest.raises(UserError, match=r"no topic .*nothing: use one of acks, answers"):
        await shown(settings, name="nothing")
