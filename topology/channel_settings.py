"""The settings of channels, out of the settings of the process."""

from agents.channels.settings import ChannelSettings
from topology.settings import Settings


def channel_settings(settings: Settings) -> ChannelSettings:
    """What channels need to know."""
    secret = settings.webhook_secret
    return ChannelSettings(
        brokers=settings.brokers,
        prefix=settings.prefix,
        webhook_secret=None if secret is None else secret.get_secret_value(),
        webhook_allow_private=settings.webhook_allow_private,
        kafka_topics=settings.kafka_topics,
    )
