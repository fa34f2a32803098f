"""A real Kafka broker as a child process, for development, the demo and the tests: no Docker, no installation."""

import asyncio
import base64
import socket
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from topology.embedded_config import broker_command, format_command, server_properties
from topology.embedded_errors import EmbeddedKafkaError
from topology.embedded_jars import cache_file, java_executable, kafka_classpath
from topology.embedded_process import free_port, port_is_free
from topology.embedded_server import EmbeddedServer


class EmbeddedKafka(EmbeddedServer):
    """One Kafka node: it answers after 2 to 4 s, the first time after about 20 s."""

    name, log_name, error = "Kafka", "kafka.log", EmbeddedKafkaError

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
        super().__init__(data, "log", fresh=fresh, progress=progress)
        self._controller_port = controller_port
        self._cluster_id = cluster_id or random_cluster_id()
        self._properties = properties
        self._format_options = format_options
        self._port_told = port
        self._port: int | None = None

    @property
    def bootstrap(self) -> str:
        """`127.0.0.1:<port>`, the same after a restart of this object."""
        if self._port is None:
            raise RuntimeError("the embedded Kafka has not been started")
        return f"127.0.0.1:{self._port}"

    @property
    def address(self) -> str:
        """As `bootstrap`."""
        return self.bootstrap

    async def answers(self) -> bool:
        """Whether topics can be made."""
        return await _answers(self.bootstrap)

    async def launch(self) -> None:
        """Jars, directory, format, broker."""
        self.prepare_directory()
        properties = self._write_properties()
        java = java_executable()
        jars = await asyncio.to_thread(kafka_classpath, self._progress)
        aot = cache_file("aot")
        if not (self._stored / "meta.properties").exists():
            await asyncio.to_thread(self._format, java, jars, aot, properties)
        self.spawn(broker_command(java, jars, aot, properties=properties))
        await self.until_it_answers()

    def _write_properties(self) -> Path:
        port = self._choose_port()
        text = server_properties(
            port=port,
            controller_port=self._controller_port or free_port(other_than=port),
            log_dir=self._stored,
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
            remedy = f"Look at {self._stored}; --fresh starts with an empty one."
            raise EmbeddedKafkaError(f"Kafka cannot format {self._stored}", why=why, remedy=remedy)
        if new_aot is not None and new_aot.exists():
            new_aot.replace(aot)  # in one step: another process may be reading the one that is there


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
