"""What is set for a flow reaches the workers, and a URL that is gone reaches all of them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from stand_in_owner import make_topics
from system import until

from agents.flows import Flows
from schemas.flow_limits import FlowLimits
from schemas.settings_records import Flow, StoppedEndpoint
from topology.embedded_kafka import EmbeddedKafka
from topology.followed_flows import FollowedFlows
from topology.producer import Kafka
from topology.settings import Settings
from topology.topics import TopicNames

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.fixture
async def settings(kafka: EmbeddedKafka) -> Settings:
    settings = Settings(brokers=kafka.bootstrap, prefix=f"flows-{uuid4().hex[:8]}.", partitions=1)
    await make_topics(settings)
    return settings


@pytest.fixture
async def workers(settings: Settings) -> AsyncIterator[list[FollowedFlows]]:
    """Two workers' flows, each with a connection of its own."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            connected = Kafka(settings.brokers)
            stack.push_async_callback(connected.stop)
            await connected.start()
            followed = FollowedFlows(Flows(), connected, TopicNames(settings.prefix).settings, pytest.fail)
            stack.push_async_callback(followed.stop)
            await followed.start()
            made.append(followed)
        yield made


async def test_what_is_set_and_removed_is_heard_by_every_worker(settings: Settings, workers: list[FollowedFlows]):
    heard: list[tuple[str, bool]] = []
    workers[0].flows.on_change(lambda key, *, raised: heard.append((key, raised)))
    table = workers[1].table
    await table.put(Flow(key="acme", limits=FlowLimits(rate=1, paused=True), set_at=NOW))
    await until(lambda: workers[0].flows.pause_of("acme", "webhook") == "acme", 10)
    await table.put(Flow(key="acme", limits=FlowLimits(rate=5), set_at=NOW))
    await table.remove(Flow, "acme")
    await until(lambda: not workers[0].flows, 10)
    assert heard == [("acme", False), ("acme", True), ("acme", True)]


async def test_a_url_that_is_gone_is_known_here_at_once_and_to_the_others_soon(workers: list[FollowedFlows]):
    url = "https://example.com/hook"
    stopped = StoppedEndpoint(key=url, url=url, flow="acme", at=NOW, until=NOW + timedelta(days=1))
    first, second = (worker.flows for worker in workers)
    first.report_gone(stopped)
    assert first.is_stopped(url, "acme", NOW) == stopped
    await until(lambda: second.is_stopped(url, "acme", NOW) == stopped, 10)
    await workers[1].table.put(Flow(key="acme", limits=FlowLimits(), set_at=NOW + timedelta(seconds=1)))
    await until(lambda: first.is_stopped(url, "acme", NOW) is None, 10)
