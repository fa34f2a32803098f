"""The settings of channels, out of the settings of the process."""

from agents.channels.settings import ChannelSettings
from agents.flows import Flows
from topology.secrets_store import Secrets
from topology.settings import Settings


def channel_settings(settings: Settings, flows: Flows | None = None) -> ChannelSettings:
    """What channels need to know; `flows`: the limits that are set while they run."""
    secret = settings.webhook_secret
    return ChannelSettings(
        brokers=settings.brokers,
        kafka_security=settings.kafka_security(),
        prefix=settings.prefix,
        webhook_secret=None if secret is None else secret.get_secret_value(),
        webhook_allow_private=settings.webhook_allow_private,
        kafka_topics=settings.kafka_topics,
        secrets=Secrets(settings.secrets_dir),
        flows=Flows() if flows is None else flows,
    )
