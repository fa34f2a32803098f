"""Opening the mirror of a timetable partition, if it can be trusted; else it is rebuilt from the log."""

from collections.abc import Callable
from pathlib import Path

from rocksdict import Rdict

from topology.rocks_mirror import Meta, RocksMirror, decode_meta
from topology.trusted_copy import astray, foreign, known, open_trusted, overslept


def open_mirror(
    path: Path,
    *,
    cluster_id: str,
    topic_id: str,
    log_start: int,
    log_end: int,
    now_ms: int,
    max_sleep_ms: int,
    warn: Callable[[str], None],
) -> RocksMirror:
    """The mirror at `path`, empty where it cannot be trusted: then `warn` is told why and `applied` is 0.

    Give the log's bounds as they are before this process writes to it, and half of the topic's `delete.retention.ms`
    as `max_sleep_ms`. Raises DiskError when not even an empty mirror can be made.
    """
    new = Meta(cluster_id, topic_id, applied=0)

    def fault_of(mirror: RocksMirror) -> str | None:
        meta = mirror.meta()
        found = foreign(meta, new) or astray(meta, log_start, log_end)
        return found or (overslept(meta, log_end, now_ms - meta.seen_ms, max_sleep_ms) if meta.rows else None)

    def make(db: Rdict) -> RocksMirror:
        return RocksMirror(path, db, known(db, decode_meta, new), log_end)

    return open_trusted(path, "mirror", make, fault_of, warn)
