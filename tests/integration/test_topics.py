"""Topics on a real Kafka: made, found as they are, and what differs told with its remedy."""

import asyncio
import uuid

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from topology.topic_admin import Created, TopicsError, check_topics, create_topics
from topology.topics import TopicNames, topic_specs


@pytest_asyncio.fixture
async def admin(kafka):
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    yield client
    await client.close()


def some_specs(prefix, partitions=2, channels=("email",)):
    return topic_specs(TopicNames(prefix), channels, partitions=partitions, due_partitions=3, replication=1)


@pytest.fixture
def prefix():
    return f"topics-{uuid.uuid4()}."


async def test_topics_are_made_once_and_are_then_as_they_should_be(admin, prefix):
    specs = some_specs(prefix)
    names = tuple(spec.name for spec in specs)
    assert await create_topics(admin, specs, replication=1) == Created(made=names, existed=())
    assert await create_topics(admin, specs, replication=1) == Created(made=(), existed=names)
    assert await check_topics(admin, specs, replication=1) == ()


async def test_a_new_channel_gets_its_topics_beside_those_that_are_there(admin, prefix):
    await create_topics(admin, some_specs(prefix), replication=1)
    created = await create_topics(admin, some_specs(prefix, channels=("email", "sms")), replication=1)
    assert created.made == (f"{prefix}due.sms", f"{prefix}outcomes.sms")


async def test_missing_topics_are_fatal(admin, prefix):
    findings = await check_topics(admin, some_specs(prefix), replication=1)
    assert len(findings) == len(some_specs(prefix))
    assert all(f.fatal and "topics create" in f.remedy for f in findings)


async def test_another_partition_count_is_fatal_and_never_mended_in_place(admin, prefix):
    await create_topics(admin, some_specs(prefix, partitions=2), replication=1)
    findings = await check_topics(admin, some_specs(prefix, partitions=4), replication=1)
    timetable = next(f for f in findings if f.topic == f"{prefix}timetable")
    assert timetable.fatal
    assert timetable.problem == "has 2 partitions, 4 are set"
    assert "CLEPSYDRA_PREFIX" in timetable.remedy
    assert f"{prefix}due.email" not in {f.topic for f in findings}


async def test_configs_that_differ_are_told_and_a_cleanup_that_loses_messages_is_fatal(admin, prefix):
    specs = some_specs(prefix)
    await create_topics(admin, specs, replication=1)
    changed = {"cleanup.policy": "delete", "segment.ms": "1000"}
    kept = {name: value for name, value in specs[1].configs.items() if name not in changed}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, specs[1].name, configs=kept | changed)])
    found = ()
    async with asyncio.timeout(20):
        while not found:
            found = await check_topics(admin, specs, replication=1)
    findings = {f.problem: f for f in found}
    assert set(findings) == {
        "has cleanup.policy=delete, should be compact",
        "has segment.ms=1000, should be 3600000",
    }
    assert [f.fatal for f in findings.values()] == ["cleanup" in problem for problem in findings]
    assert all("kafka-configs.sh --alter" in f.remedy for f in findings.values())


async def test_too_few_replicas_are_told(admin, prefix):
    await create_topics(admin, some_specs(prefix), replication=1)
    findings = await check_topics(admin, some_specs(prefix), replication=3)
    assert {f.problem for f in findings} == {"has 1 replicas, 3 are set"}


async def test_topics_that_cannot_be_made_are_told_with_a_way_out(admin, prefix):
    with pytest.raises(TopicsError, match="topics create --print"):
        await create_topics(admin, some_specs(prefix), replication=9)
