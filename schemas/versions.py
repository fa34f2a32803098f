"""The version that every element carries, always written: a default that is left out would read as the reader's own."""

from typing import Any

from msgspec import field

VERSION = 1
"""A release reads n+1 before any writes it."""


def version() -> Any:
    """The field `v` of a record. A default made by a function is never left out by `omit_defaults`."""
    return field(default_factory=_current)


def _current() -> int:
    return VERSION
