"""A real Kafka broker as a child process, for development, the demo and the tests: no Docker, no installation."""

import asyncio
import base64
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from topology.embedded_config import broker_command, format_command, server_properties
from topology.embedded_errors import EmbeddedKafkaError
from topology.embedded_jars import cache_file, java_executable, kafka_classpath
from topology.embedded_process import (
    check_free_disk,
    die_with_parent,
    end_of_log,
    free_port,
    lock_directory,
    port_is_free,
)

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20


class EmbeddedKafka:
    """One Kafka node on loopback with its data in `data`, kept between runs unless `fresh`.

    Start it from a thread that lives as long as the broker should (the main one): on Linux the broker is killed
    when that thread ends, so that not even kill -9 of this process leaves it behind.
    """

    def __init__(
        self,
        data: Path,
        port: int | None = None,
        *,
        fresh: bool = False,
        progress: Callable[[str], None] = lambda _line: None,
        controller_port: int | None = None,
        cluster_id: str | None = None,
        properties: Mapping[str, str] | None = None,
        format_options: Sequence[str] = (),
    ) -> None:
        """`properties`: of server.properties, in place of ours; `format_options`: of `StorageTool format`."""
        self._controller_port = controller_port
        self._cluster_id = cluster_id or random_cluster_id()
        self._properties = properties
        self._format_options = format_options
        self.data = data.resolve()
        self.log = self.data / "kafka.log"
        self._log_dir = self.data / "log"
        self._port_told = port
        self._port: int | None = None
        self._fresh = fresh
        self._progress = progress
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._log_start = 0

    @property
    def bootstrap(self) -> str:
        """`127.0.0.1:<port>`, the same after a restart of this object."""
        if self._port is None:
            raise RuntimeError("the embedded Kafka has not been started")
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The broker's process id. Raises RuntimeError when it is not running."""
        if self._process is None:
            raise RuntimeError("the embedded Kafka is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the broker's process is alive."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> str:
        """Starts the broker and gives its bootstrap address once it answers: 2-4 s, the first time about 20 s.

        Raises EmbeddedKafkaError: no Java, no jars, port taken, directory in use, disk full, or a broker that dies.
        """
        if self.running:
            return self.bootstrap
        try:
            await self._launch()
            await self._until_it_answers()
        except BaseException:
            self.kill()
            raise
        return self.bootstrap

    async def stop(self) -> None:
        """Stops the broker cleanly, within 20 s; then it is killed. Stopping twice does nothing."""
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self._process.wait, STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._progress(f"Kafka did not stop within {STOP_TIMEOUT_S} s and is killed")
        self.kill()

    def kill(self) -> None:
        """Ends the broker with SIGKILL, as a crash would; its data stays and `start` works again."""
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

    async def _launch(self) -> None:
        self._prepare_directory()
        properties = self._write_properties()
        java = java_executable()
        jars = await asyncio.to_thread(kafka_classpath, self._progress)
        aot = cache_file("aot")
        if not (self._log_dir / "meta.properties").exists():
            await asyncio.to_thread(self._format, java, jars, aot, properties)
        self._spawn(broker_command(java, jars, aot, properties=properties))

    def _prepare_directory(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self._lock = lock_directory(self.data)
        if self._fresh:
            shutil.rmtree(self._log_dir, ignore_errors=True)
            self._fresh = False  # a restart of this object keeps what it wrote
        check_free_disk(self.data)

    def _write_properties(self) -> Path:
        port = self._choose_port()
        text = server_properties(
            port=port,
            controller_port=self._controller_port or free_port(other_than=port),
            log_dir=self._log_dir,
            others=self._properties,
        )
        properties = self.data / "server.properties"
        properties.write_text(text)
        self._port = port
        return properties

    def _choose_port(self) -> int:
        kept = self.data / "port"
        if self._port_told is None:
            remembered = kept.read_text() if kept.exists() else ""
            port = free_port(self._port or (int(remembered) if remembered.isdigit() else None))
        elif port_is_free(self._port_told):
            port = self._port_told
        else:
            remedy = "Stop what listens there, or leave the port out and one is chosen."
            what = f"Kafka cannot listen on 127.0.0.1:{self._port_told}"
            raise EmbeddedKafkaError(what, why="the port is taken", remedy=remedy)
        kept.write_text(str(port))
        return port

    def _format(self, java: Path, jars: list[Path], aot: Path, properties: Path) -> None:
        new_aot = None if aot.exists() else aot.with_name(f"{aot.name}.{uuid.uuid4().hex}")
        command = format_command(
            java,
            jars,
            new_aot or aot,
            properties=properties,
            cluster_id=self._cluster_id,
            options=self._format_options,
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            why = (done.stdout + done.stderr).strip()[-2000:]
            remedy = f"Look at {self._log_dir}; --fresh starts with an empty one."
            raise EmbeddedKafkaError(f"Kafka cannot format {self._log_dir}", why=why, remedy=remedy)
        if new_aot is not None and new_aot.exists():
            new_aot.replace(aot)  # in one step: another process may be reading the one that is there

    def _spawn(self, command: list[str]) -> None:
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # not asyncio's: it outlives the loop that started it
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, who stop Kafka last
                preexec_fn=die_with_parent,  # noqa: PLW1509  one prctl call, no Python lock is taken
            )

    async def _until_it_answers(self) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await _answers(self.bootstrap):
                    if not self.running:
                        raise self._failure("the broker ended")
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise self._failure(f"no answer within {START_TIMEOUT_S} s") from error

    def _failure(self, why: str) -> EmbeddedKafkaError:
        return EmbeddedKafkaError(
            "Kafka did not start",
            why=f"{why}; the end of its log:\n{end_of_log(self.log, self._log_start)}",
            remedy=f"The whole log is {self.log}. If its data is damaged, --fresh starts with an empty one.",
        )


async def _answers(bootstrap: str) -> bool:
    """Whether the broker lists itself in its metadata: from then on topics can be made. A mere open port is earlier."""
    host, port = bootstrap.split(":")
    with socket.socket() as probe:
        probe.setblocking(False)  # noqa: FBT003  the socket module's own signature
        try:
            await asyncio.get_running_loop().sock_connect(probe, (host, int(port)))
        except OSError:
            return False
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except KafkaError:
        return False
    finally:
        await client.close()


def random_cluster_id() -> str:
    """A Kafka Uuid: 16 random bytes in URL-safe base64 without padding, not starting with a dash."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
