"""A whole system for a test, or one for a module whose tests only send and look."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from system import System

from topology.embedded_kafka import EmbeddedKafka


@pytest.fixture
def make_system(kafka: EmbeddedKafka, tmp_path: Path) -> Callable[..., System]:
    """A system of this test's own; enter it."""
    return lambda **settings: System(kafka.bootstrap, tmp_path, **settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """One system for all tests of a module: they take ids of their own, and kill nothing."""
    settings: dict[str, Any] = {"kafka_topics": "orders"}
    async with System(kafka.bootstrap, tmp_path_factory.mktemp("shared"), **settings) as system:
        yield system
