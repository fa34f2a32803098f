"""Child processes of a run: workers, servers, profilers. Each dies with this one."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from topology.embedded_process import die_with_parent

STOP_WITHIN_S = 20
TAIL_BYTES = 3_000


class ChildError(Exception):
    """A process that ended, or did not end, against expectation."""


class Child:
    """A process with its output in a file."""

    def __init__(self, name: str, command: list[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.name, self.log, self.profiler = name, log, None
        self.began = time.time()
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  one prctl call
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.process.pid

    def check(self) -> None:
        """Raises ChildError when it has ended."""
        if self.process.poll() is not None:
            raise ChildError(f"{self.name} ended with {self.process.returncode}; it said: {self.tail()}")

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> str:
        """Ends it; a remark when it did not end as it should."""
        self.process.terminate()
        try:
            code = self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"{self.name} did not stop within {STOP_WITHIN_S} s"
        return f"{self.name} exited with {code}: {self.tail()}" if code not in (0, -15) else ""

    def tail(self) -> str:
        """The end of what it said."""
        return self.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()


WORKER = (
    "from topology.worker import run_{role}; from topology.settings import load_settings; run_{role}(load_settings())"
)


def worker_command(role: str) -> list[str]:
    """Runs a scheduler or a courier with the settings of its environment."""
    return [sys.executable, "-c", WORKER.format(role=role)]


def clean_environment(**ours: str) -> dict[str, str]:
    """This process's environment without its Clepsydra settings, with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLEPSYDRA_")}
    return kept | {f"CLEPSYDRA_{name.upper()}": value for name, value in ours.items()}


def profiler(child_pid: int, out: Path) -> Child | None:
    """py-spy on a process, if it is installed: collapsed stacks into `out`."""
    found = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if found is None:
        return None
    command = [found, "record", "--pid", str(child_pid), "--output", str(out), "--format", "raw", "--rate", "100",
               "--nonblocking", "--duration", "600"]  # fmt: skip
    return Child("py-spy", command, out.with_suffix(".log"))
