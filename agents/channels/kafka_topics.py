"""The topics that users may send to."""

import re

TOPIC = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")
"""A name that Kafka takes (org.apache.kafka.common.internals.Topic)."""


class TopicRefusedError(Exception):
    """A topic that no message may go to; the text says why."""


def check_topic(topic: str, allowed: tuple[str, ...], prefix: str) -> None:
    """Raises TopicRefusedError unless a name or a beginning (`orders.*`) allows it; our own and Kafka's never are."""
    if not TOPIC.fullmatch(topic):
        raise TopicRefusedError(f"`to` is not a topic name: {topic[:100]!r}; use letters, digits, '.', '_' and '-'")
    if topic.startswith("__") or (prefix and topic.startswith(prefix)):
        raise TopicRefusedError(f"{topic} is an internal topic of Kafka or Clepsydra: send to one of your own")
    if not any(_allows(pattern, topic) for pattern in allowed):
        known = ", ".join(allowed) or "none"
        raise TopicRefusedError(f"{topic} is not among the topics that CLEPSYDRA_KAFKA_TOPICS allows ({known})")


def _allows(pattern: str, topic: str) -> bool:
    return topic.startswith(pattern[:-1]) if pattern.endswith("*") else topic == pattern
