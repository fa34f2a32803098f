"""CPU seconds and memory of the processes that take part."""

from collections.abc import Mapping

import psutil

MIB = 1024 * 1024


class Meter:
    """Measures from its making; `lap` begins anew."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._began = self._now()

    def _now(self) -> dict[str, float]:
        return {name: sum(p.cpu_times()[:2]) for name, p in self._processes.items()}

    def cpu_s(self) -> dict[str, float]:
        """User and system time of each process since it began."""
        return {name: round(cpu - self._began[name], 2) for name, cpu in self._now().items()}

    def lap(self) -> dict[str, float]:
        """`cpu_s`, and begin anew."""
        cpu = self.cpu_s()
        self._began = self._now()
        return cpu

    def rss_mb(self) -> dict[str, float]:
        """Resident memory of each process."""
        return {name: round(p.memory_info().rss / MIB, 1) for name, p in self._processes.items()}
