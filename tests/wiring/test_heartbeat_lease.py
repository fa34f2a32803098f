"""The lease and what it hangs on: a private hook of aiokafka's group coordinator, against a real broker."""

import inspect
import uuid

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import NewTopic
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from system import until

from topology.clock import boot_ms
from topology.lease import HeartbeatLease
from topology.producer import Kafka

SESSION_MS = 2_000


@pytest.fixture
async def topic(kafka):
    world = Kafka(kafka.bootstrap)
    await world.start()
    name = f"lease-{uuid.uuid4()}"
    await world.admin.create_topics([NewTopic(name, 1, 1)])
    yield name
    await world.stop()


def test_the_hook_is_where_the_lease_expects_it():
    assert inspect.iscoroutinefunction(GroupCoordinator._send_req)
    source = inspect.getsource(GroupCoordinator)
    assert source.count("_send_req(") > 3, "heartbeats and joins no longer go through it"


def test_the_wait_of_a_fetch_is_where_the_app_sets_it():
    source = inspect.getsource(Fetcher)
    assert "self._fetch_max_wait_ms = fetch_max_wait_ms" in source
    assert source.count("self._fetch_max_wait_ms,") == 1, "the request takes it from there"


async def test_answered_heartbeats_renew_it_and_silence_ends_it(kafka, topic):
    lease = HeartbeatLease(boot_ms, SESSION_MS)
    renewals = []
    renew = lease.renew
    lease.renew = lambda sent_ms: (renewals.append(sent_ms), renew(sent_ms))
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap,
        group_id=f"g-{topic}",
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=200,
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        lease.watch(consumer._coordinator)
        lease.watch(consumer._coordinator)
        begun = boot_ms()
        await until(lambda: boot_ms() > begun + 2 * SESSION_MS, 10)
        assert lease()
        assert len(renewals) > SESSION_MS / 200, "once for each heartbeat"
        assert renewals == sorted(set(renewals)), "and only once, though it was watched twice"
        assert all(sent_ms <= boot_ms() for sent_ms in renewals)
    finally:
        await consumer.stop()
    assert lease(), "it runs on from the last answered one"
    last = max(renewals)
    await until(lambda: not lease(), 2 * SESSION_MS / 1000)
    assert boot_ms() >= last + SESSION_MS


async def test_the_workers_watch_their_group_before_their_first_partition(kafka, tmp_path):
    """A join that takes longer than the lease must not leave a courier without one: its partitions would go at once."""
    from system import System, new_id  # noqa: PLC0415

    async with System(kafka.bootstrap, tmp_path, session_timeout=1) as system:
        begun = boot_ms()
        ids = []
        while boot_ms() < begun + 4_000:
            ids.append(new_id())
            assert (await system.create(system.message(ids[-1]))).result == "accepted"
            await system.received(ids)
        assert system.courier.running
        assert system.scheduler.running
