"""Fixtures for all tests. Nothing is started until a test asks for it."""

import asyncio
from collections.abc import Iterator

import pytest

from topology.embedded_kafka import EmbeddedKafka


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """One real broker, shared by all tests of the session that ask for it: `kafka.bootstrap`.

    Take a topic prefix of your own; a test that kills or stops a broker starts one for itself.
    """
    broker = EmbeddedKafka(tmp_path_factory.mktemp("kafka"), progress=print)
    asyncio.run(broker.start())
    yield broker
    asyncio.run(broker.stop())
