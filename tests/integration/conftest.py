"""A gateway over a real socket and a real broker, and a stand-in owner with the real decisions."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from running_gateway import KEY, gateway
from stand_in_owner import StandInOwner, make_topics

from topology.embedded_kafka import EmbeddedKafka
from topology.settings import Settings


@pytest.fixture
async def settings(kafka: EmbeddedKafka) -> Settings:
    """Topics of this test's own."""
    settings = Settings(brokers=kafka.bootstrap, prefix=f"test-{uuid4().hex[:8]}.", partitions=2, api_key=KEY, port=0)
    await make_topics(settings)
    return settings


@pytest.fixture
async def owner(settings: Settings) -> AsyncIterator[StandInOwner]:
    """Answers."""
    async with StandInOwner(settings) as owner:
        yield owner


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client with its key."""
    async with gateway(settings, KEY) as client:
        yield client
