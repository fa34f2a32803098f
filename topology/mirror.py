"""Opening the mirror of a timetable partition, if it can be trusted; else it is rebuilt from the log."""

from collections.abc import Callable
from pathlib import Path

from topology.disk import DiskError, broken, close_database, open_database, wipe_directory
from topology.mirror_batch import META
from topology.rocks_mirror import FORMAT, Meta, RocksMirror, decode_meta


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
    try:
        mirror = _stored(path, new, log_end)
    except DiskError as error:
        fault = str(error)
    else:
        meta = mirror.meta()
        found = (
            _foreign(meta, new) or _astray(meta, log_start, log_end) or _overslept(meta, log_end, now_ms, max_sleep_ms)
        )
        if found is None:
            return mirror
        fault = found
        mirror.close()
    warn(f"the mirror {path} is rebuilt from the log: {fault}")
    wipe_directory(path)
    return _stored(path, new, log_end)


def _stored(path: Path, new: Meta, log_end: int) -> RocksMirror:
    db = open_database(path)
    try:
        stored = db.get(META)
        meta = new if stored is None else decode_meta(stored)
        if meta.format != FORMAT:
            raise DiskError(f"it has format {meta.format}, this release writes {FORMAT}")  # noqa: TRY301  closed below
        return RocksMirror(path, db, meta, log_end)
    except DiskError:
        close_database(db)
        raise
    except Exception as error:
        close_database(db)
        raise broken(path, error) from error


def _foreign(meta: Meta, now: Meta) -> str | None:
    if meta.cluster_id != now.cluster_id:
        return f"it is of cluster {meta.cluster_id}, this one is {now.cluster_id}"
    if meta.topic_id != now.topic_id:
        return f"the topic was made anew: its id was {meta.topic_id} and is {now.topic_id}"
    return None


def _astray(meta: Meta, log_start: int, log_end: int) -> str | None:
    if meta.applied == 0 or log_start <= meta.applied <= log_end:
        return None
    return f"its position {meta.applied} is not in the log, {log_start} to {log_end}"


def _overslept(meta: Meta, log_end: int, now_ms: int, max_sleep_ms: int) -> str | None:
    """Tombstones after its last record may be compacted away by now; with nothing after it, none was missed."""
    slept_ms = now_ms - meta.seen_ms
    if meta.rows == 0 or meta.applied == log_end or slept_ms <= max_sleep_ms:
        return None
    return f"its last record is {slept_ms} ms old, more than {max_sleep_ms}: it may have missed tombstones"
