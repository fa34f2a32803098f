"""What each process may do in Kafka: the least that it works with, as rules and as commands for an admin."""

from collections.abc import Iterator, Sequence
from shlex import quote
from typing import NamedTuple

from topology.topics import TopicNames

READ, WRITE, DESCRIBE = "Read", "Write", "Describe"


class Rule(NamedTuple):
    """An ACL that allows: `pattern` is `literal` or `prefixed`, as Kafka's own tools name them."""

    resource: str
    pattern: str
    name: str
    operations: tuple[str, ...]


def rules(prefix: str, kafka_topics: Sequence[str] = ()) -> dict[str, tuple[Rule, ...]]:
    """By process. Reading and writing includes describing. `kafka_topics`: those that the channel kafka may write to."""
    names = TopicNames(prefix)
    seen = Rule("Topic", "prefixed", prefix, (DESCRIBE, "DescribeConfigs"))
    group = {name: Rule("Group", "prefixed", prefix + name, (READ,)) for name in ("scheduler", "courier", "archivist")}
    return {
        "scheduler": (
            seen,
            group["scheduler"],
            *_on((READ, WRITE), names.commands, names.timetable, names.schedules, names.windows),
            *_on((READ,), names.acks, names.settings),
            *_on((WRITE,), names.events, names.dead_letters, names.answers),
            Rule("Topic", "prefixed", names.due(""), (WRITE,)),
        ),
        "courier": (
            seen,
            group["courier"],
            Rule("Topic", "prefixed", names.due(""), (READ,)),
            Rule("Topic", "prefixed", names.outcomes(""), (READ, WRITE)),
            *_on((READ, WRITE), names.settings),
            *_on((WRITE,), names.acks, names.dead_letters),
            *(_allowed(topic) for topic in kafka_topics),
        ),
        "gateway": (
            Rule("Topic", "prefixed", prefix, (DESCRIBE,)),
            *_on((WRITE,), names.commands),
            *_on((READ,), names.answers, names.windows, names.dead_letters),
            *_on((READ, WRITE), names.settings),
        ),
        "archivist": (seen, group["archivist"], *_on((READ,), names.events), *_on((WRITE,), names.dead_letters)),
        "archive rebuild": (seen, *_on((READ,), names.events, names.timetable)),
        "topics create": (Rule("Topic", "prefixed", prefix, ("Create", DESCRIBE, "DescribeConfigs")),),
        "topics check": (Rule("Topic", "prefixed", prefix, (DESCRIBE,)),),
        "topics tail": (Rule("Topic", "prefixed", prefix, (READ,)),),
        "worker leave": (Rule("Group", "prefixed", prefix, (READ, DESCRIBE)),),
    }


def _on(operations: tuple[str, ...], *topics: str) -> Iterator[Rule]:
    return (Rule("Topic", "literal", topic, operations) for topic in topics)


def _allowed(topic: str) -> Rule:
    return Rule("Topic", "prefixed" if topic.endswith("*") else "literal", topic.removesuffix("*"), (WRITE,))


def acl_commands(principal: str, found: Sequence[Rule], *, brokers: str) -> str:
    """A shell script of kafka-acls.sh calls."""
    head = f"kafka-acls.sh --bootstrap-server {quote(brokers)} --add --allow-principal {quote(principal)}"
    lines = (
        f"{head} --{rule.resource.lower()} {quote(rule.name)} --resource-pattern-type {rule.pattern}"
        + "".join(f" --operation {operation}" for operation in rule.operations)
        for rule in found
    )
    return "\n".join(lines) + "\n"


def table(prefix: str = "clepsydra.") -> str:
    """All of them as Markdown, as docs/operations.md shows them; `*` ends a prefix."""
    rows = [
        f"| `{process}` | {rule.resource.lower()} | `{rule.name}{'*' if rule.pattern == 'prefixed' else ''}` "
        f"| {', '.join(rule.operations)} |"
        for process, found in rules(prefix).items()
        for rule in found
    ]
    return "\n".join(["| process | resource | name | operations |", "| --- | --- | --- | --- |", *rows])
