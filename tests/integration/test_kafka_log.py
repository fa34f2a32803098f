"""The log over a real Kafka: order, offsets, what happens at its edges."""

import asyncio
import contextlib
import time
import uuid

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic, RecordsToDelete
from aiokafka.structs import TopicPartition

from agents.ports import LogBrokenError, Record
from topology.kafka_log import RecordTooLargeError
from topology.producer import Kafka
from topology.topics import RECORD_BYTES_MAX


@pytest_asyncio.fixture
async def world(kafka):
    world = Kafka(kafka.bootstrap)
    await world.start()
    yield world
    await world.stop()


@pytest_asyncio.fixture
async def topic(world):
    name = f"log-{uuid.uuid4()}"
    configs = {"max.message.bytes": str(RECORD_BYTES_MAX)}
    await world.admin.create_topics([NewTopic(name, 3, 1, topic_configs=configs)])
    await until(world, lambda topics: name in topics)
    return name


async def until(world, condition):
    """The topics, once the condition holds of them; TimeoutError after 20 s."""
    async with asyncio.timeout(20):
        while not condition(topics := (await world.identity()).topics):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return topics


def numbered(start, count, size=0):
    return [Record(b"k%d" % n, b"v%d" % n + b"." * size) for n in range(start, start + count)]


async def all_of(log, start, end):
    return [record async for records in log.read(start, end) for record in records]


async def test_records_are_read_as_they_were_written_at_the_offset_that_was_told(world, topic):
    log = world.log(topic, 1)
    began_ms = time.time_ns() // 1_000_000
    assert await log.end() == 0
    assert await log.append([Record(b"a", b"1"), Record(b"b", None)]) == 0
    assert await log.append([Record(None, b"3", (("h", b"x"),))]) == 2
    assert await log.end() == 3
    found = await all_of(log, 0, 3)
    assert [(r.offset, r.key, r.value, tuple(r.headers)) for r in found] == [
        (0, b"a", b"1", ()),
        (1, b"b", None, ()),
        (2, None, b"3", (("h", b"x"),)),
    ]
    assert all(began_ms <= r.at_ms <= time.time_ns() // 1_000_000 for r in found)


async def test_a_part_of_the_log_can_be_read(world, topic):
    log = world.log(topic, 0)
    await log.append(numbered(0, 2500))
    assert [r.offset for r in await all_of(log, 700, 2300)] == list(range(700, 2300))
    assert await all_of(log, 5, 5) == []


async def test_what_is_larger_than_a_batch_is_cut_and_stays_in_order(world, topic):
    log = world.log(topic, 0)
    records = numbered(0, 30, size=200_000)
    assert await log.append(records) == 0
    assert await log.append(numbered(30, 1)) == 30
    assert [r.value for r in await all_of(log, 0, 31)] == [r.value for r in (*records, *numbered(30, 1))]


async def test_concurrent_appends_to_one_partition_are_written_one_after_the_other(world, topic):
    log = world.log(topic, 0)
    firsts = await asyncio.gather(*(log.append(numbered(n * 10, 10)) for n in range(200)))
    found = await all_of(log, 0, 2000)
    assert sorted(firsts) == list(range(0, 2000, 10))
    for n, first in enumerate(firsts):
        assert [r.value for r in found[first : first + 10]] == [r.value for r in numbered(n * 10, 10)]


async def test_partitions_are_written_side_by_side(world, topic):
    logs = [world.log(topic, n) for n in range(3)]
    assert await asyncio.gather(*(log.append(numbered(0, 100)) for log in logs)) == [0, 0, 0]
    assert [await log.end() for log in logs] == [100, 100, 100]


async def test_a_process_has_one_log_per_partition(world, topic):
    assert world.log(topic, 0) is world.log(topic, 0, lane="other")
    assert world.log(topic, 0) is not world.log(topic, 1)


async def test_a_read_ends_although_the_last_offsets_are_transaction_markers(world, topic, kafka):
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=topic) as producer:
        for n in range(3):
            async with producer.transaction():
                await producer.send(topic, b"t%d" % n, partition=0)
    log = world.log(topic, 0)
    assert await log.end() == 6
    async with asyncio.timeout(20):
        assert [(r.offset, r.value) for r in await all_of(log, 0, 6)] == [(0, b"t0"), (2, b"t1"), (4, b"t2")]
        assert await all_of(log, 5, 6) == []


async def test_a_read_from_before_the_logs_start_begins_at_its_start(world, topic):
    log = world.log(topic, 0)
    await log.append(numbered(0, 50))
    await world.admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=20)})
    assert await log.start() == 20
    assert [r.offset for r in await all_of(log, 0, 50)] == list(range(20, 50))


async def test_a_read_can_be_left_early(world, topic):
    log = world.log(topic, 0)
    await log.append(numbered(0, 3000))
    async with contextlib.aclosing(log.read(0, 3000)) as slices:
        async for records in slices:
            assert records[0].offset == 0
            break
    assert await log.end() == 3000


async def test_a_record_that_no_broker_takes_is_refused_before_anything_is_written(world, topic):
    log = world.log(topic, 0)
    with pytest.raises(RecordTooLargeError, match="at most"):
        await log.append([Record(b"a", b"fine"), Record(b"b", b"x" * RECORD_BYTES_MAX)])
    assert await log.append([Record(b"c", b"x" * (RECORD_BYTES_MAX - 200))]) == 0
    with pytest.raises(ValueError, match="nothing to append"):
        await log.append([])


async def test_a_failed_write_is_told_and_the_next_one_has_a_new_producer(world, topic, monkeypatch):
    log, other = world.log(topic, 0), world.log(topic, 1)
    await log.append(numbered(0, 1))
    producer = await log._lane.producer()

    async def refuse(*_args, **_kwargs):
        raise ConnectionError("gone")

    monkeypatch.setattr(producer, "send_batch", refuse)
    with pytest.raises(LogBrokenError, match="gone"):
        await log.append(numbered(1, 1))
    assert await log.append(numbered(1, 1)) == 1
    assert await other.append(numbered(0, 1)) == 0
    assert await log._lane.producer() is not producer


async def test_another_writer_between_two_batches_of_one_append_shows_in_the_offset(world, topic, kafka, monkeypatch):
    log = world.log(topic, 0)
    await log.append(numbered(0, 1))
    producer = await log._lane.producer()
    send = producer.send_batch

    async def send_after_another(batch, *args, **kwargs):
        sent = await send(batch, *args, **kwargs)
        await asyncio.wait([sent])
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as other:
            await other.send_and_wait(topic, b"zombie", partition=0)
        return sent

    monkeypatch.setattr(producer, "send_batch", send_after_another)
    assert await log.append(numbered(1, 2, size=700_000)) != 1


async def test_a_topic_made_anew_has_another_id_and_the_cluster_keeps_its_own(world, topic):
    before = await world.identity()
    await world.admin.delete_topics([topic])
    await until(world, lambda topics: topic not in topics)
    await world.admin.create_topics([NewTopic(topic, 5, 1)])
    again = (await until(world, lambda topics: topic in topics))[topic]
    assert again.id != before.topics[topic].id
    assert (again.partitions, again.replication) == (5, 1)
    assert (await world.identity()).id == before.id
