"""The kafka channel against a real broker."""

import asyncio
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import OutOfOrderSequenceNumber
from msgspec import Raw

from agents.channels.kafka import KafkaChannel
from agents.channels.settings import ChannelSettings
from schemas.outcomes import Delivered, Rejected, Response, RetryLater


@pytest.fixture
async def topic(kafka):
    """A topic of this test's own with one partition, which takes records of 100 kB at most."""
    name = f"orders.{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs={"max.message.bytes": "100000"})])
    await admin.close()
    return name


@pytest.fixture
async def channel(kafka, clock):
    settings = ChannelSettings(brokers=kafka.bootstrap, kafka_topics=("orders.*",))
    it = KafkaChannel(settings, clock)
    await it.start()
    yield it
    await it.stop()


async def records(kafka, topic, count):
    """The first records of a one-partition topic: offset, key, value, headers."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(10):
            got = [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
    return [(r.offset, r.key, r.value, r.headers) for r in got]


async def test_a_message_becomes_a_record_with_its_key_in_front_and_in_a_header(channel, kafka, topic, due):
    outcome = await channel.send(
        due(to=topic, headers={"X-A": "\u00e4", "clepsydra-KEY": "forged"}, content_type="a/b")
    )
    assert outcome == Delivered(response=Response(body=f"{topic}/0/0"))
    headers = (
        ("X-A", "\u00e4".encode()),
        ("clepsydra-key", b"m1/0"),
        ("clepsydra-id", b"m1"),
        ("content-type", b"a/b"),
    )
    assert await records(kafka, topic, 1) == [(0, b"m1/0", b'{"text":"hi"}', headers)]


async def test_text_and_bytes_arrive_as_they_are(channel, kafka, topic, due):
    await channel.send(due(to=topic, body=Raw(b'"gr\\u00fc\\u00df"')))
    await channel.send(due(to=topic, body=Raw(b""), body_base64="AAH/"))
    await channel.send(due(to=topic, body=Raw(b"")))
    assert [r[2] for r in await records(kafka, topic, 3)] == ["gr\u00fc\u00df".encode(), b"\x00\x01\xff", b""]


async def test_many_at_once_all_arrive_once(channel, kafka, topic, due):
    outcomes = await asyncio.gather(*(channel.send(due(to=topic, key=f"m{n}/0")) for n in range(500)))
    assert {type(o) for o in outcomes} == {Delivered}
    assert {r[1] for r in await records(kafka, topic, 500)} == {f"m{n}/0".encode() for n in range(500)}


async def test_a_topic_that_is_not_allowed_is_rejected(channel, due):
    outcome = await channel.send(due(to="invoices"))
    assert outcome == Rejected(reason="invoices is not among the topics that CLEPSYDRA_KAFKA_TOPICS allows (orders.*)")


async def test_a_topic_that_does_not_exist_is_tried_later_and_others_go_on(channel, topic, due):
    unknown, known = await asyncio.gather(channel.send(due(to="orders.none")), channel.send(due(to=topic)))
    assert isinstance(unknown, RetryLater)
    assert not unknown.maybe_sent
    assert "orders.none" in unknown.reason
    assert isinstance(known, Delivered)


async def test_a_record_too_large_for_its_topic_is_rejected_and_the_next_one_goes(channel, kafka, topic, due):
    outcome = await channel.send(due(to=topic, body=Raw(b'"' + b"x" * 150_000 + b'"')))
    assert outcome == Rejected(reason="150000 bytes are more than the topic takes (max.message.bytes)")
    assert isinstance(await channel.send(due(to=topic, key="next/0")), Delivered)
    assert [r[1] for r in await records(kafka, topic, 1)] == [b"next/0"]


async def test_a_producer_that_fails_is_replaced(channel, kafka, topic, due):
    """Aiokafka 1017: once out of order, its sequence numbers stay so."""
    assert isinstance(await channel.send(due(to=topic)), Delivered)
    producer = channel._producer
    sequences = producer._txn_manager._sequence_numbers
    for partition in sequences:
        sequences[partition] += 7
    failed = await channel.send(due(to=topic, key="failed/0"))
    assert isinstance(failed, RetryLater)
    assert (failed.maybe_sent, OutOfOrderSequenceNumber.__name__ in failed.reason) == (True, True)
    assert isinstance(await channel.send(due(to=topic, key="next/0")), Delivered)
    assert channel._producer is not producer
    assert [r[1] for r in await records(kafka, topic, 2)] == [b"m1/0", b"next/0"]


async def test_without_a_broker_nothing_was_sent(clock, due, unused_tcp_port):
    settings = ChannelSettings(brokers=f"127.0.0.1:{unused_tcp_port}", kafka_topics=("orders",), kafka_timeout_ms=900)
    channel = KafkaChannel(settings, clock)
    await channel.start()
    outcome = await channel.send(due(to="orders"))
    await channel.stop()
    assert isinstance(outcome, RetryLater)
    assert not outcome.maybe_sent
