"""Making the topics, and telling what is wrong with those that are there."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from topology.topic_ids import cluster_identity
from topology.topics import TopicSpec

VISIBLE_WITHIN_S = 30
LOOK_AGAIN_S = 0.05
BREAKING = frozenset({"cleanup.policy"})
"""Configs whose difference loses messages; others may be an operator's choice."""


class TopicsError(Exception):
    """Topics could not be made, or are not fit to run on."""


class Created(NamedTuple):
    """Names of the topics that were made, and of those that were there."""

    made: tuple[str, ...]
    existed: tuple[str, ...]


class Finding(NamedTuple):
    """Something about a topic that is not as it should be; `fatal`: nothing may start on it."""

    topic: str
    problem: str
    remedy: str
    fatal: bool

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.topic}: {self.problem} ({self.remedy})"


async def create_topics(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], *, replication: int) -> Created:
    """Makes the topics that are missing and waits until they have leaders. Raises TopicsError, KafkaError."""
    there = (await cluster_identity(admin._client)).topics  # noqa: SLF001  the admin client has no public one
    missing = [spec for spec in specs if spec.name not in there]
    if missing:
        wanted = [NewTopic(s.name, s.partitions, replication, topic_configs=s.configs) for s in missing]
        response = await admin.create_topics(wanted)
        for name, code, *message in response.topic_errors:
            _check_created(name, code, message)
        await _until_visible(admin, {spec.name for spec in missing})
    made = tuple(spec.name for spec in missing)
    return Created(made, tuple(spec.name for spec in specs if spec.name not in made))


def _check_created(name: str, code: int, message: list[str | None]) -> None:
    error = for_code(code)
    if code != 0 and error is not TopicAlreadyExistsError:  # another process was first
        said = message[0] if message and message[0] else error.__name__
        raise TopicsError(f"{name} cannot be made: {said}; `topics create --print` gives the commands for an admin")


async def _until_visible(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    missing = names
    try:
        async with asyncio.timeout(VISIBLE_WITHIN_S):
            while missing := names - (await cluster_identity(admin._client)).topics.keys():  # noqa: ASYNC110, SLF001
                await asyncio.sleep(LOOK_AGAIN_S)
    except TimeoutError:
        raise TopicsError(
            f"{', '.join(sorted(missing))} made, but without leaders after {VISIBLE_WITHIN_S} s: "
            "see the brokers' logs, then run it again"
        ) from None


async def check_topics(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], *, replication: int
) -> tuple[Finding, ...]:
    """What is not as it should be: missing topics, partition counts, replicas, configs. Raises KafkaError."""
    there = (await cluster_identity(admin._client)).topics  # noqa: SLF001
    configs = await _configs(admin, [spec.name for spec in specs if spec.name in there])
    findings: list[Finding] = []
    unseen: list[str] = []
    for spec in specs:
        if spec.name not in there:
            remedy = "run `clepsydra topics create`, or grant Describe on it"
            findings.append(Finding(spec.name, "does not exist", remedy, fatal=True))
            continue
        found = there[spec.name]
        if found.partitions != spec.partitions:
            findings.append(_partitions_differ(spec, found.partitions))
        if found.replication < replication:
            problem = f"has {found.replication} replicas, {replication} are set"
            findings.append(Finding(spec.name, problem, "use kafka-reassign-partitions.sh", fatal=False))
        if (said := configs[spec.name]) is not None:
            findings.extend(_configs_differ(spec, said))
        else:
            unseen.append(spec.name)
    if unseen:
        problem = f"the configs of {len(unseen)} topics cannot be seen and were not checked"
        findings.append(Finding(", ".join(unseen), problem, "grant DescribeConfigs on them", fatal=False))
    return tuple(findings)


def _partitions_differ(spec: TopicSpec, found: int) -> Finding:
    return Finding(
        spec.name,
        f"has {found} partitions, {spec.partitions} are set",
        f"set {found}: a partition count is fixed for life, messages would be looked for in the wrong partition; "
        "to grow, move to a new CLEPSYDRA_PREFIX",
        fatal=True,
    )


def _configs_differ(spec: TopicSpec, found: dict[str, str]) -> list[Finding]:
    different = {name: value for name, value in spec.configs.items() if not _same(value, found.get(name, ""))}
    return [
        Finding(
            spec.name,
            f"has {name}={found.get(name)}, should be {value}",
            f"kafka-configs.sh --alter --entity-type topics --entity-name {spec.name} --add-config '{name}=[{value}]'",
            fatal=name in BREAKING,
        )
        for name, value in different.items()
    ]


def _same(wanted: str, found: str) -> bool:
    try:
        return float(wanted) == float(found)
    except ValueError:
        return set(wanted.split(",")) == set(found.split(","))


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str] | None]:
    """By topic; None where this client may not see them."""
    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str] | None] = {}
    for response in await admin.describe_configs(asked):
        for code, message, _type, name, entries in response.resources:
            if for_code(code) is TopicAuthorizationFailedError:
                found[name] = None
                continue
            if code != 0:
                raise KafkaError(f"the configs of {name} cannot be read: {message or for_code(code).__name__}")
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found
