"""A worker as a real process that a test may kill, freeze, thaw and stop; its log in a file."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from topology.embedded_process import die_with_parent

ROOT = Path(__file__).parents[1]
TELL_TASKS = """
import asyncio, signal, sys
def tell(*_):
    for task in [task for task in asyncio.tasks._all_tasks if not task.done()]:
        task.print_stack(file=sys.stderr)
    sys.stderr.flush()
signal.signal(signal.SIGRTMAX, tell)
"""
RUN = TELL_TASKS + (
    "from topology.settings import load_settings; from topology.worker import run_{0}; run_{0}(load_settings())"
)


def worker_command(role: str) -> list[str]:
    return [sys.executable, "-c", RUN.format(role)]


class Worker:
    """One process at a time; `start` after its end starts it anew, with a log of its own."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], logs: Path, name: str) -> None:
        self.command, self.environment, self.name = list(command), dict(environment), name
        self._logs = logs
        self._runs = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Of the present or last run."""
        return self._logs / f"{self.name}-{self._runs}.log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.running, f"{self.name} runs already"
        self._runs += 1
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509  one prctl call, no Python lock is taken
            )

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it does nothing and notices nothing until `thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def stop(self, within_s: float = 20) -> int:
        """SIGTERM; its exit code. Where it does not end, AssertionError with what each of its tasks waits for."""
        assert self._process is not None
        if self.running:
            self._process.terminate()
        try:
            return await self.ended(within_s)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGRTMAX)
            await asyncio.sleep(1)
            raise AssertionError(f"{self.name} does not end within {within_s} s:\n{self.text()[-20_000:]}") from None

    async def ended(self, within_s: float = 20) -> int:
        """Its exit code, once it has one."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, within_s)

    def text(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace")

    def told(self, event: str) -> list[dict[str, object]]:
        """Its log lines of one event."""
        lines = [line[line.find('{"') :] for line in self.text().split("\n") if line.endswith("}") and '{"' in line]
        found = [msgspec.json.decode(line) for line in lines]
        return [line for line in found if line.get("event") == event]

    def close(self) -> None:
        """However the test ended."""
        if self.running:
            self.kill()
