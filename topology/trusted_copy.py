"""Opening the disk's copy of a log, if it can be trusted; else it is rebuilt from the log."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from rocksdict import Rdict

from topology.disk import DiskError, broken, close_database, open_database, wipe_directory

META = b"m"
"""The key of what a copy knows about itself."""


class Known(Protocol):
    """What a copy knows about itself: whose it is, and how far it has the log."""

    cluster_id: str
    topic_id: str
    applied: int
    format: int


class Copy(Protocol):
    """One that is open."""

    def close(self) -> None:
        """Release the files."""
        ...


C = TypeVar("C", bound=Copy)
M = TypeVar("M", bound=Known)


def open_trusted(
    path: Path, name: str, make: Callable[[Rdict], C], fault_of: Callable[[C], str | None], warn: Callable[[str], None]
) -> C:
    """What `make` makes of the database at `path`; of an empty one where that cannot be trusted: then `warn` is told why.

    Raises DiskError when not even an empty one can be made.
    """
    try:
        copy = _made(path, make)
    except DiskError as error:
        fault = str(error)
    else:
        found = fault_of(copy)
        if found is None:
            return copy
        fault = found
        copy.close()
    warn(f"the {name} {path} is rebuilt from the log: {fault}")
    wipe_directory(path)
    return _made(path, make)


def known(db: Rdict, decode: Callable[[bytes], M], new: M) -> M:
    """What the database says of itself; `new` of an empty one. Raises DiskError for the format of another release."""
    stored = db.get(META)
    meta = new if stored is None else decode(stored)
    if meta.format != new.format:
        raise DiskError(f"it has format {meta.format}, this release writes {new.format}")
    return meta


def foreign(meta: Known, now: Known) -> str | None:
    """Whether it is of another cluster, or of a topic that is gone."""
    if meta.cluster_id != now.cluster_id:
        return f"it is of cluster {meta.cluster_id}, this one is {now.cluster_id}"
    if meta.topic_id != now.topic_id:
        return f"the topic was made anew: its id was {meta.topic_id} and is {now.topic_id}"
    return None


def astray(meta: Known, log_start: int, log_end: int) -> str | None:
    """Whether the log does not have what comes next."""
    if meta.applied == 0 or log_start <= meta.applied <= log_end:
        return None
    return f"its position {meta.applied} is not in the log, {log_start} to {log_end}"


def overslept(meta: Known, log_end: int, slept_ms: int, max_sleep_ms: int) -> str | None:
    """Tombstones after its last record may be compacted away by now; with nothing after it, none was missed."""
    if meta.applied == log_end or slept_ms <= max_sleep_ms:
        return None
    return f"its last record is {slept_ms} ms old, more than {max_sleep_ms}: it may have missed tombstones"


def _made(path: Path, make: Callable[[Rdict], C]) -> C:
    db = open_database(path)
    try:
        return make(db)
    except DiskError:
        close_database(db)
        raise
    except Exception as error:
        close_database(db)
        raise broken(path, error) from error
