"""Directories and RocksDB databases of this machine: small, written often, rebuilt from Kafka when in doubt."""

import fcntl
import os
import shutil
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO, NamedTuple

from rocksdict import BlockBasedOptions, Cache, DbClosedError, DBCompressionType, Options, Rdict, ReadOptions

MIB = 1024 * 1024
WRITE_BUFFER_BYTES = 4 * MIB
BLOCK_CACHE_BYTES = 2 * MIB
BLOOM_BITS = 10
MEMTABLE_BLOOM = 0.02
LOADED_FILES_MAX = 200
"""So many files a load may leave unmerged before writing is held up: 4 MiB each."""
LOCK_NAME = "lock"
BROKEN_NAME = "broken"


class DirectoryBusyError(Exception):
    """Another process holds this directory."""


class DiskError(Exception):
    """A database could not be read or written; it is marked and rebuilt when it is next opened."""


class Slot(NamedTuple):
    """A directory for this process alone, until `release` or its end."""

    path: Path
    lock: IO[str]

    def release(self) -> None:
        """Let another process have it."""
        self.lock.close()


def slot_directory(data: Path, kind: str, instance: str | None) -> Slot:
    """`<data>/<kind>-<instance>`, or without an instance the first free of `<kind>-0`, `-1`, ….

    Raises DirectoryBusyError when an instance of that name runs already, OSError when nothing can be written.
    """
    if instance is None:
        return next(slot for n in count() if (slot := _locked(data / f"{kind}-{n}")) is not None)
    slot = _locked(data / f"{kind}-{instance}")
    if slot is None:
        raise DirectoryBusyError(
            f"{data / f'{kind}-{instance}'} is in use: another {kind} of the instance {instance!r} runs here; "
            "stop it, or give this one another --instance"
        )
    return slot


def _locked(path: Path) -> Slot | None:
    path.mkdir(parents=True, exist_ok=True)
    lock = (path / LOCK_NAME).open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return Slot(path, lock)


def open_database(path: Path) -> Rdict:
    """A database of raw bytes, made where there is none; about 10 MiB of memory. Raises DiskError."""
    path.mkdir(parents=True, exist_ok=True)
    if (path / BROKEN_NAME).exists():
        raise DiskError(f"{path} could not be read or written before")
    try:
        return Rdict(str(path), _options())
    except Exception as error:  # rocksdict raises nothing narrower
        raise DiskError(f"{path} cannot be opened: {error}") from error


def keys_between(db: Rdict, path: Path, start: bytes, end: bytes, limit: int) -> list[bytes]:
    """At most `limit` keys in [start, end), in order. Raises DiskError."""
    found: list[bytes] = []
    if limit <= 0 or start >= end:
        return found
    bounded = ReadOptions()
    bounded.set_iterate_upper_bound(end)
    try:
        for key in db.keys(from_key=start, read_opt=bounded):
            found.append(key)
            if len(found) == limit:
                break
    except Exception as error:
        raise broken(path, error) from error
    return found


def compact_by_itself(db: Rdict, *, on: bool) -> None:
    """Whether files are merged while it is written: not while a million rows are loaded, they would be merged many times."""
    db.set_options({"disable_auto_compactions": "false" if on else "true"})


def close_database(db: Rdict) -> None:
    """Release the files; twice does nothing."""
    with suppress(DbClosedError):
        db.close()


def wipe_directory(path: Path) -> None:
    """Remove a closed database, whole."""
    shutil.rmtree(path, ignore_errors=True)


def broken(path: Path, error: Exception) -> DiskError:
    """Marks the database to be rebuilt at its next opening, and gives the error to raise."""
    (path / BROKEN_NAME).touch()
    return DiskError(f"{path} failed and is rebuilt at the next start: {error}")


def _options() -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(Cache(BLOCK_CACHE_BYTES))
    table.set_bloom_filter(BLOOM_BITS, False)  # noqa: FBT003  full filters, not one per block
    table.set_format_version(5)
    options = Options(raw_mode=True)
    options.create_if_missing(True)  # noqa: FBT003  rocksdict's own signature
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM)
    options.set_memtable_whole_key_filtering(True)  # a new id is mostly not there
    options.set_max_write_buffer_number(3)
    options.set_max_background_jobs(2)
    options.set_level_zero_slowdown_writes_trigger(LOADED_FILES_MAX)
    options.set_level_zero_stop_writes_trigger(2 * LOADED_FILES_MAX)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(MIB)
    options.set_stats_dump_period_sec(0)
    return options
