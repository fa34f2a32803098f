"""What the embedded Kafka is told: its server.properties and its JVM options."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

# After a kill -9 the controller lets the broker register again only when the old session has timed out.
SERVER_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={log_dir}
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=3
num.io.threads=4
message.max.bytes=2097152
log.cleaner.dedupe.buffer.size=16777216
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""

JVM_OPTIONS = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",  # with C1 only: a third less CPU than G1 and C2, 130 MB less, the same throughput
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "--sun-misc-unsafe-memory-access=allow",  # Kafka unmaps its buffers so; without it the JVM warns at each start
    "--enable-native-access=ALL-UNNAMED",  # zstd and snappy
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)


def server_properties(
    *, port: int, controller_port: int, log_dir: Path, others: Mapping[str, str] | None = None
) -> str:
    """The broker's configuration: one node on loopback, no topics made by accident. Sizes in bytes.

    `others` stand in place of those of the same name; `{port}` and `{controller_port}` in them are filled in.
    """
    escaped = str(log_dir).replace("\\", "\\\\")
    own = SERVER_PROPERTIES.format(port=port, controller_port=controller_port, log_dir=escaped)
    given = (f"{name}={value}\n" for name, value in (others or {}).items())
    return own + "".join(given).replace("{port}", str(port)).replace("{controller_port}", str(controller_port))


def format_command(
    java: Path, jars: list[Path], aot: Path, *, properties: Path, cluster_id: str, options: Sequence[str] = ()
) -> list[str]:
    """Makes an empty data directory; the first time also the AOT cache that starts later JVMs a third faster."""
    startup = [f"-XX:AOTCache={aot}"] if aot.exists() else [f"-XX:AOTCacheOutput={aot}"]
    tool = ["kafka.tools.StorageTool", "format", "--cluster-id", cluster_id, "--config", str(properties)]
    return [str(java), *JVM_OPTIONS, *startup, "-cp", _joined(jars), *tool, "--ignore-formatted", *options]


def broker_command(java: Path, jars: list[Path], aot: Path, *, properties: Path) -> list[str]:
    """Runs the broker until SIGTERM. An AOT cache that is missing or of another Java is passed over by the JVM."""
    return [str(java), *JVM_OPTIONS, f"-XX:AOTCache={aot}", "-cp", _joined(jars), "kafka.Kafka", str(properties)]


def _joined(jars: list[Path]) -> str:
    return os.pathsep.join(map(str, jars))
