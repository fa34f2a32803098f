"""The topics: their names, partition counts and configs, in the order in which a message meets them."""

from collections.abc import Iterable
from dataclasses import dataclass
from shlex import quote
from typing import NamedTuple

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIB = 1024 * 1024
RECORD_BYTES_MAX = 2 * MIB

DELETE_RETENTION_MS = 7 * DAY_MS
"""How long the timetable keeps tombstones: a mirror that slept longer has missed some (DESIGN section 4)."""


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The full names of the topics under one prefix."""

    prefix: str

    @property
    def commands(self) -> str:
        return f"{self.prefix}commands"

    @property
    def timetable(self) -> str:
        return f"{self.prefix}timetable"

    @property
    def schedules(self) -> str:
        return f"{self.prefix}schedules"

    @property
    def settings(self) -> str:
        return f"{self.prefix}settings"

    @property
    def acks(self) -> str:
        return f"{self.prefix}acks"

    @property
    def answers(self) -> str:
        return f"{self.prefix}answers"

    @property
    def events(self) -> str:
        return f"{self.prefix}events"

    @property
    def dead_letters(self) -> str:
        return f"{self.prefix}dead_letters"

    @property
    def windows(self) -> str:
        return f"{self.prefix}windows"

    def due(self, channel: str) -> str:
        return f"{self.prefix}due.{channel}"

    def outcomes(self, channel: str) -> str:
        return f"{self.prefix}outcomes.{channel}"


class TopicSpec(NamedTuple):
    """What a topic must be. Configs are the broker's names and values; times in ms, sizes in bytes."""

    name: str
    partitions: int
    configs: dict[str, str]


def topic_specs(
    names: TopicNames, channels: Iterable[str], *, partitions: int, due_partitions: int, replication: int
) -> tuple[TopicSpec, ...]:
    """Every topic of one prefix (DESIGN section 3)."""
    table = _compacted(
        **{
            "min.compaction.lag.ms": HOUR_MS,
            "max.compaction.lag.ms": 6 * HOUR_MS,
            "delete.retention.ms": DELETE_RETENTION_MS,
        }
    )
    # a foreign producer's own timestamps must not age its commands out
    commands = _kept(7 * DAY_MS) | {"message.timestamp.type": "LogAppendTime"}
    specs = [
        TopicSpec(names.commands, partitions, commands),
        TopicSpec(names.timetable, partitions, table),
        TopicSpec(names.schedules, partitions, table),
        TopicSpec(names.settings, 1, _compacted()),
        TopicSpec(names.acks, partitions, _kept(DAY_MS)),
        TopicSpec(names.answers, partitions, _kept(HOUR_MS)),
        TopicSpec(names.events, partitions, _kept(30 * DAY_MS)),
        TopicSpec(names.dead_letters, partitions, _kept(30 * DAY_MS)),
        TopicSpec(names.windows, partitions, _compacted()),
    ]
    memory = _compacted(**{"cleanup.policy": "compact,delete", "retention.ms": 2 * DAY_MS})
    for channel in channels:
        specs.append(TopicSpec(names.due(channel), due_partitions, _kept(DAY_MS)))
        specs.append(TopicSpec(names.outcomes(channel), due_partitions, memory))
    everywhere = {
        "max.message.bytes": str(RECORD_BYTES_MAX),
        "min.insync.replicas": str(min(2, max(1, replication - 1))),
    }
    return tuple(spec._replace(configs=spec.configs | everywhere) for spec in specs)


def _kept(retention_ms: int) -> dict[str, str]:
    segment_ms = min(retention_ms // 6, DAY_MS)  # only whole, rolled segments are deleted
    return {"cleanup.policy": "delete", "retention.ms": str(retention_ms), "segment.ms": str(segment_ms)}


def _compacted(**configs: object) -> dict[str, str]:
    base: dict[str, object] = {
        "cleanup.policy": "compact",
        "segment.ms": HOUR_MS,
        "segment.bytes": 64 * MIB,
        "min.cleanable.dirty.ratio": 0.1,
    }
    return {name: str(value) for name, value in (base | configs).items()}


def create_commands(
    specs: Iterable[TopicSpec], *, replication: int, brokers: str, command_config: str | None = None
) -> str:
    """A shell script of kafka-topics.sh calls, for those who have no admin rights themselves.

    `command_config`: the file in which an admin keeps what secures the connection.
    """
    connect = f"--bootstrap-server {quote(brokers)}"
    if command_config is not None:
        connect += f" --command-config {quote(command_config)}"
    return "\n".join(_create_command(spec, replication, connect) for spec in specs) + "\n"


def _create_command(spec: TopicSpec, replication: int, connect: str) -> str:
    head = (
        f"kafka-topics.sh {connect} --create --if-not-exists --topic {quote(spec.name)}"
        f" --partitions {spec.partitions} --replication-factor {replication}"
    )
    return " \\\n  ".join([head, *(f"--config {quote(f'{name}={value}')}" for name, value in spec.configs.items())])
