import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from topology.embedded_kafka import EmbeddedKafka, EmbeddedKafkaError
from topology.embedded_process import free_port


async def create_topic(bootstrap: str, topic: str):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def produce(bootstrap: str, topic: str, value: bytes):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, value)


async def consume_one(bootstrap: str, topic: str) -> bytes:
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        return (await consumer.getone()).value


async def test_a_record_goes_through_it(kafka):
    await create_topic(kafka.bootstrap, "through")
    await produce(kafka.bootstrap, "through", b"a record")
    assert await consume_one(kafka.bootstrap, "through") == b"a record"


async def test_a_topic_that_nobody_made_is_not_made_by_accident(kafka):
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.describe_topics(["by-accident"])
        assert "by-accident" not in await admin.list_topics()
    finally:
        await admin.close()


async def test_data_and_address_survive_a_crash_and_a_clean_stop(tmp_path):
    async with EmbeddedKafka(tmp_path) as broker:
        address = broker.bootstrap
        await create_topic(address, "kept")
        await produce(address, "kept", b"before the crash")
        crashed = broker.pid
        broker.kill()
        assert not broker.running
        assert await broker.start() == address
        assert broker.pid != crashed
        assert await consume_one(address, "kept") == b"before the crash"

    async with EmbeddedKafka(tmp_path, port=free_port()) as moved:
        assert moved.bootstrap != address
        assert await consume_one(moved.bootstrap, "kept") == b"before the crash"

    async with EmbeddedKafka(tmp_path, fresh=True) as wiped:
        admin = AIOKafkaAdminClient(bootstrap_servers=wiped.bootstrap)
        await admin.start()
        try:
            assert "kept" not in await admin.list_topics()
        finally:
            await admin.close()


async def test_a_taken_port_is_named_with_a_remedy(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedKafkaError, match=f"127.0.0.1:{port}: the port is taken\nStop what listens"):
            await EmbeddedKafka(tmp_path, port=port).start()


async def test_a_second_instance_on_the_same_directory_is_refused_and_harms_nothing(kafka):
    with pytest.raises(EmbeddedKafkaError, match="another instance is running on it"):
        await EmbeddedKafka(kafka.data, fresh=True).start()
    assert kafka.running
    assert kafka.data.joinpath("log", "meta.properties").exists()


async def test_a_broker_that_dies_says_why_at_once(tmp_path):
    log_dir = tmp_path / "log"
    log_dir.mkdir()
    (log_dir / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=of-another-node\n")
    with pytest.raises(EmbeddedKafkaError, match="its process ended") as caught:
        await EmbeddedKafka(tmp_path).start()
    assert "node.id" in caught.value.why or "node id" in caught.value.why


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_the_broker_dies_with_a_parent_killed_by_sigkill(tmp_path):
    script = textwrap.dedent("""
        import asyncio, pathlib, sys, time
        from topology.embedded_kafka import EmbeddedKafka
        broker = EmbeddedKafka(pathlib.Path(sys.argv[1]))
        asyncio.run(broker.start())
        print(broker.pid, flush=True)
        time.sleep(60)
    """)
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        broker = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
    with contextlib.suppress(psutil.NoSuchProcess):
        broker.wait(timeout=10)
    assert not broker.is_running() or broker.status() == psutil.STATUS_ZOMBIE
