"""What a process has used, where the system tells it (Linux)."""

import os
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """CPU seconds since its start, resident memory in MB."""

    cpu_s: float
    memory_mb: float


def usage(pid: int) -> Usage | None:
    """What a process has used so far; None where /proc does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])  # utime and stime: fields 14 and 15 of proc(5)
    pages = int(fields[21])  # rss: field 24
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
