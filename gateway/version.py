"""Which release this is."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


def version() -> str:
    """The version of the installed distribution, or `0+unknown` in a bare checkout."""
    try:
        return installed("clepsydra")
    except PackageNotFoundError:
        return "0+unknown"
