"""The apps by name, for `faust -A topology.apps:scheduler worker`, and `courier` and `archivist` in its place."""

from collections.abc import Callable
from typing import Any

from topology.archivist import create_archivist
from topology.courier import create_courier
from topology.scheduler import create_scheduler
from topology.settings import Settings, load_settings

APPS: dict[str, Callable[[Settings], Any]] = {
    "scheduler": create_scheduler,
    "courier": create_courier,
    "archivist": create_archivist,
}


def __getattr__(name: str) -> Any:
    """An app is made of the environment's settings when it is asked for."""
    if name not in APPS:
        raise AttributeError(name)
    return APPS[name](load_settings())
