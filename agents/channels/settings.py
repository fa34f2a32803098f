"""What channels are made with: the settings they need, and the shape of a channel file's CHANNEL."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct, field

from agents.flows import Flows
from agents.ports import Channel, Clock
from schemas.retry import STANDARD_WEBHOOKS_MS


class ChannelSettings(Struct, frozen=True, kw_only=True):
    """Settings of all channels; each takes, and validates, what is its own."""

    brokers: str = "127.0.0.1:9092"
    """`host:port`, several with commas between."""
    kafka_security: Mapping[str, Any] = {}
    """Arguments of a Kafka client about TLS and SASL; none for plain connections."""
    prefix: str = "clepsydra."
    """What our own topics begin with."""
    delays_ms: tuple[int, ...] = STANDARD_WEBHOOKS_MS
    """The retry schedule of every channel that has none of its own: delays after the first attempt."""
    webhook_secret: str | None = None
    """`whsec_` and base64; several with spaces between while one replaces another; None: sent unsigned."""
    webhook_allow_private: bool | tuple[str, ...] = False
    """Whether webhooks may go to addresses that are not public: all, or those in networks like `10.1.0.0/16`."""
    secrets: Callable[[str], str | None] = lambda _: None
    """What a secret's name stands for; None: there is none of that name."""
    flows: Flows = field(default_factory=Flows)
    """Limits that are set at run time: signing secrets and time limits of flows, URLs that are gone."""
    webhook_timeout_ms: int = 15_000
    """The longest that one attempt may take, from the address look-up to the answer."""
    webhook_concurrency: int = 256
    """How many requests at once in one process."""
    webhook_honours_key: bool = True
    """Whether receivers are taken to drop a repeated `webhook-id` (rule 10)."""
    kafka_topics: tuple[str, ...] = ()
    """The topics that users may send to; `orders.*` allows all that begin with `orders.`."""
    kafka_timeout_ms: int = 15_000
    """The longest that one attempt may take."""
    email_server: str = ""
    """`host:port` of a mail server."""
    email_tls: Literal["starttls", "tls", "none"] = "starttls"
    email_user: str | None = None
    email_password: str | None = None
    email_from: str = ""
    """Who emails are from."""
    email_ca: str | None = None
    """A file with the certificates to trust; None: those of the system."""
    email_timeout_ms: int = 30_000
    """The longest that one attempt may take."""
    apprise_schemes: tuple[str, ...] = ()
    """Networks that users may send to, as Apprise's URLs name them."""
    apprise_timeout_ms: int = 30_000
    """The longest that one attempt may take."""


class ChannelFactory(Struct, frozen=True):
    """What a channel file holds as CHANNEL. Making a channel opens nothing; `start` does.

    Making one raises ValueError when its settings are wrong, naming the setting and the remedy. `settings`: names of
    ours that bear on it, or of environment variables of its own; `missing`: what to set before it can be used, or "".
    """

    name: str
    make: Callable[[ChannelSettings, Clock], Channel]
    settings: tuple[str, ...] = ()
    missing: Callable[[ChannelSettings], str] = lambda _: ""

    def __call__(self, settings: ChannelSettings, clock: Clock) -> Channel:
        """The channel, not started."""
        return self.make(settings, clock)
