"""The one place that says how this process reaches Kafka; every client of ours and Faust's is made with it."""

from typing import Any

import faust

from topology.settings import Settings


def client_arguments(settings: Settings) -> dict[str, Any]:
    """`bootstrap_servers` and what secures the connection, for any aiokafka client."""
    return {"bootstrap_servers": settings.brokers, **settings.kafka_security()}


def faust_credentials(settings: Settings) -> Any:
    """The same as Faust's `broker_credentials`; None for plain connections."""
    security = settings.kafka_security()
    context = security.get("ssl_context")
    if "sasl_mechanism" in security:
        return faust.SASLCredentials(
            username=security["sasl_plain_username"],
            password=security["sasl_plain_password"],
            mechanism=security["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)
