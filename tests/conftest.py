"""Fixtures for all tests. Nothing is started until a test asks for it."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from topology.embedded_kafka import EmbeddedKafka
from topology.embedded_postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """One real broker, shared by all tests of the session that ask for it: `kafka.bootstrap`.

    Take a topic prefix of your own; a test that kills or stops a broker starts one for itself.
    """
    broker = EmbeddedKafka(tmp_path_factory.mktemp("kafka"), progress=print)
    asyncio.run(broker.start())
    yield broker
    asyncio.run(broker.stop())


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One real server, shared: take a database of your own, `await postgres.create_database(name)`.

    Not below pytest's own directory: run as root, the server is another user, whom pytest would lock out.
    """
    with tempfile.TemporaryDirectory(prefix="clepsydra-postgres-", ignore_cleanup_errors=True) as directory:
        server = EmbeddedPostgres(Path(directory), progress=print)
        asyncio.run(server.start())
        yield server
        asyncio.run(server.stop())
