"""Small facts about the machine that embedded servers live on: its ports, locks, disk and dying with their parent."""

import ctypes
import fcntl
import os
import random
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import IO

from topology.embedded_errors import EmbeddedServerError

FREE_DISK_BYTES_MIN = 1 << 30
# Below what Linux and macOS hand to outgoing connections: a client that reconnects to a port from that range while
# nothing listens can connect to itself, and the broker then finds its own port taken.
PORTS = range(20_000, 32_000)
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(remembered: int | None = None, *, other_than: int | None = None) -> int:
    """The remembered port if it is free, so that clients find the broker again; else any that is."""
    candidates = ([remembered] if remembered else []) + random.sample(PORTS, 100)
    return next(port for port in candidates if port != other_than and port_is_free(port))


def check_free_disk(directory: Path, server: str, error: type[EmbeddedServerError]) -> None:
    """Raises `error` when less than 1 GiB is free: the server would stop in the middle of a write."""
    free = shutil.disk_usage(directory).free
    if free < FREE_DISK_BYTES_MIN:
        raise error(
            f"The disk of {directory} is nearly full",
            why=f"{free >> 20} MiB are free, {server} is given no less than {FREE_DISK_BYTES_MIN >> 20} MiB",
            remedy="Free some space, or put the data elsewhere with --data DIR.",
        )


def lock_directory(directory: Path, server: str, error: type[EmbeddedServerError]) -> IO[str]:
    """The lock on a data directory, held until it is closed or this process ends.

    Raises `error` when another instance holds it.
    """
    held = (directory / "lock").open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as busy:
        held.close()
        raise error(
            f"{server} cannot use {directory}",
            why="another instance is running on it",
            remedy="Stop the other one (clepsydra dev or demo), or take another directory with --data DIR.",
        ) from busy
    return held


def die_with_parent(nice: int = 0) -> None:
    """Called in the child before exec: on Linux the kernel kills it when the thread that started it ends.

    `nice`: how far it stands back behind others for the processor.
    """
    if nice:
        os.nice(nice)
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_of_log(log: Path, start: int, lines: int = 15) -> str:
    """The last lines that a server logged since `start` (bytes), for an error's text."""
    with log.open("rb") as file:
        file.seek(start)
        tail = file.read().decode(errors="replace").splitlines()[-lines:]
    return "\n".join(tail) or "it logged nothing"
