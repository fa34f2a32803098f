"""A system of a test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from system import System

from topology.embedded_kafka import EmbeddedKafka


@pytest.fixture
def make_system(kafka: EmbeddedKafka, tmp_path: Path) -> Callable[..., System]:
    """Enter it."""
    return lambda **settings: System(kafka.bootstrap, tmp_path, **settings)
