"""A server as a child process with a data directory of its own: started, waited for, stopped; it dies with its parent."""

import asyncio
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, ClassVar, Self

from topology.embedded_errors import EmbeddedServerError
from topology.embedded_process import check_free_disk, die_with_parent, end_of_log, lock_directory

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20


class EmbeddedServer(ABC):
    """One server on loopback with its data in `data`, kept between runs unless `fresh`.

    Start it from a thread that lives as long as the server should (the main one): on Linux it is killed when that
    thread ends, so that not even kill -9 of this process leaves it behind.
    """

    name: ClassVar[str]
    log_name: ClassVar[str]
    error: ClassVar[type[EmbeddedServerError]]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    look_s: ClassVar[float] = 0.05
    """Between two looks whether it answers."""
    damaged: ClassVar[str] = "If its data is damaged, --fresh starts with an empty one."

    def __init__(self, data: Path, stored: str, *, fresh: bool, progress: Callable[[str], None], nice: int = 0) -> None:
        """`stored`: what `fresh` throws away, in `data`; `nice`: how far it stands back for the processor."""
        self.data = data.resolve()
        self.log = self.data / self.log_name
        self._stored = self.data / stored
        self._fresh, self._nice, self._progress = fresh, nice, progress
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._log_start = 0

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it is, the same after a restart of this object. Raises RuntimeError before its first start."""

    @abstractmethod
    async def launch(self) -> None:
        """Make what it needs and start it; it answers soon."""

    @abstractmethod
    async def answers(self) -> bool:
        """Whether it does its work."""

    @property
    def pid(self) -> int:
        """Its process id. Raises RuntimeError when it is not running."""
        if self._process is None:
            raise RuntimeError(f"the embedded {self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> str:
        """Starts it and gives its address once it answers.

        Raises EmbeddedServerError: not installed, port taken, directory in use, disk full, or a server that dies.
        """
        if self.running:
            return self.address
        try:
            await self.launch()
        except BaseException:
            self.kill()
            raise
        return self.address

    async def stop(self) -> None:
        """Stops it cleanly, within 20 s; then it is killed. Stopping twice does nothing."""
        if self._process is not None and self.running:
            self._process.send_signal(self.stop_signal)
            try:
                await asyncio.to_thread(self._process.wait, STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._progress(f"{self.name} did not stop within {STOP_TIMEOUT_S} s and is killed")
        self.kill()

    def kill(self) -> None:
        """Ends it with SIGKILL, as a crash would; its data stays and `start` works again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def prepare_directory(self) -> None:
        """Made, locked, emptied if that was asked for. Raises EmbeddedServerError."""
        self.data.mkdir(parents=True, exist_ok=True)
        self._lock = lock_directory(self.data, self.name, self.error)
        if self._fresh:
            shutil.rmtree(self._stored, ignore_errors=True)
            self._fresh = False  # a restart of this object keeps what it wrote
        check_free_disk(self.data, self.name, self.error)

    def spawn(self, command: Sequence[str], more: Mapping[str, Any] | None = None) -> None:
        """Its process; `more`: of Popen."""
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # not asyncio's: it outlives the loop that started it
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, who stop it after those who use it
                preexec_fn=partial(die_with_parent, self._nice),  # noqa: PLW1509  one prctl call, no Python lock is taken
                **(more or {}),
            )

    async def until_it_answers(self) -> None:
        """Raises EmbeddedServerError with the end of its log."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self.answers():
                    if not self.running:
                        raise self._failure("its process ended")
                    await asyncio.sleep(self.look_s)
        except TimeoutError as error:
            raise self._failure(f"no answer within {START_TIMEOUT_S} s") from error

    def _failure(self, why: str) -> EmbeddedServerError:
        return self.error(
            f"{self.name} did not start",
            why=f"{why}; the end of its log:\n{end_of_log(self.log, self._log_start)}",
            remedy=f"The whole log is {self.log}. {self.damaged}",
        )
