"""The settings of channels, out of the settings of the process."""

import os

from agents.channels.settings import ChannelSettings
from topology.settings import Settings


def channel_settings(settings: Settings) -> ChannelSettings:
    """What channels need to know."""
    secret = settings.webhook_secret
    return ChannelSettings(
        brokers=settings.brokers,
        kafka_security=settings.kafka_security(),
        prefix=settings.prefix,
        webhook_secret=None if secret is None else secret.get_secret_value(),
        webhook_allow_private=settings.webhook_allow_private,
        kafka_topics=settings.kafka_topics,
        secrets=secret_of_environment,
    )


def secret_of_environment(name: str) -> str | None:
    """The value of `CLEPSYDRA_SECRET_<name>`: never stored or shown, read at each send so that it can be changed."""
    return os.environ.get(f"CLEPSYDRA_SECRET_{name}")
