"""The settings of channels, out of the settings of the process."""

from agents.channels import found_channels
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
        email_server=settings.email_server or "",
        email_tls=settings.email_tls,
        email_user=settings.email_user,
        email_password=None if settings.email_password is None else settings.email_password.get_secret_value(),
        email_from=settings.email_from or "",
        email_ca=None if settings.email_ca is None else str(settings.email_ca),
        apprise_schemes=settings.apprise_schemes,
        secrets=Secrets(settings.secrets_dir),
        flows=Flows() if flows is None else flows,
    )


def usable_channels(settings: Settings) -> list[str]:
    """The channels that are installed and set up, in order of their names."""
    known = channel_settings(settings)
    return sorted(name for name, factory in found_channels().items() if not factory.missing(known))
