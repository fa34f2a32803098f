"""Child processes that are kept alive, logged to files, and stopped in order."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct

from topology.embedded_process import die_with_parent

PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Before the nth restart in a row."""
STEADY_S = 20.0
"""A process that lived so long starts again with the first pause."""
TAIL_BYTES = 4096
WORDS_MAX = 300


class ChildSpec(Struct, frozen=True, kw_only=True):
    """What to run: a command of ours, its environment, how long it may take to stop, how far it stands back."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    grace_s: float = 20.0
    nice: int = 0

    @property
    def command(self) -> list[str]:
        """By the interpreter that runs now, so that nothing need be on the PATH."""
        return [sys.executable, "-m", *self.arguments]


class Child:
    """One process, started again whenever it ends before it was told to."""

    def __init__(self, spec: ChildSpec, log: Path, tell: Callable[[str], None], pauses_s: Sequence[float]) -> None:
        self.spec = spec
        self.log = log
        self.restarts = 0
        self._tell = tell
        self._pauses_s = pauses_s
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Starts it, and watches it from now on."""
        await self._spawn()
        self._task = asyncio.create_task(self._watch(), name=f"watch {self.spec.name}")

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after the grace; returns when it has ended. Before a start it does nothing."""
        self._stopping.set()
        if self._task is None:
            return
        self._signal(signal.SIGTERM)
        done, _ = await asyncio.wait([self._task], timeout=self.spec.grace_s)
        if not done:
            self._tell(f"{self.spec.name} did not stop within {self.spec.grace_s:g} s and is killed")
            self._signal(signal.SIGKILL)
            await asyncio.wait([self._task])

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        quick = 0
        while True:
            assert self._process is not None
            started = loop.time()
            code = await self._process.wait()
            if self._stopping.is_set():
                return
            quick = 0 if loop.time() - started > STEADY_S else quick
            pause = self._pauses_s[min(quick, len(self._pauses_s) - 1)]
            quick += 1
            self._tell(
                f"{self.spec.name} ended ({ended(code)}), again in {pause:g} s; {self.log}: {last_words(self.log)}"
            )
            if await self._stopped_within(pause):
                return
            self.restarts += 1
            await self._spawn()
            if self._stopping.is_set():
                self._signal(signal.SIGTERM)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

    async def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.spec.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.spec.environment},
                start_new_session=True,  # Ctrl-C is for us, who stop them in order
                preexec_fn=partial(die_with_parent, self.spec.nice),
            )

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


def ended(code: int) -> str:
    """How a process ended, in words."""
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name


def last_words(log: Path) -> str:
    """The last line of a log that says something, or that there is none."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        said = file.read().decode(errors="replace").split("\n")
    return next((line.strip()[:WORDS_MAX] for line in reversed(said) if line.strip()), "(empty)")


class Supervisor:
    """Children in the order in which they were started; stopped last first."""

    def __init__(self, logs: Path, tell: Callable[[str], None], *, pauses_s: Sequence[float] = PAUSES_S) -> None:
        self.children: list[Child] = []
        self._logs = logs
        self._tell = tell
        self._pauses_s = pauses_s

    async def start(self, spec: ChildSpec) -> Child:
        """Starts one; its output goes to `<logs>/<name>.log`, which is begun anew."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{spec.name}.log"
        log.unlink(missing_ok=True)
        child = Child(spec, log, self._tell, self._pauses_s)
        await child.start()
        self.children.append(child)
        return child

    async def stop(self) -> None:
        """Stops them all, the last one first, each waited for."""
        while self.children:
            await self.children.pop().stop()
