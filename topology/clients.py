"""The one place that says how this process reaches Kafka; every client of ours and Faust's is made with it."""

from typing import Any

import aiokafka.conn
import faust

from topology.settings import Settings

READ_BYTES = 32 * 1024 * 1024
"""So much of an answer is read before its reader gets its turn.

With aiokafka's 64 KiB the socket is paused at each 128 KiB: a fetch of some MiB then takes dozens of turns of a busy loop,
two to three times as long, and half as much CPU again (measured). An answer is held whole either way.
"""
aiokafka.conn.READER_LIMIT = READ_BYTES  # no client has a setting for it


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
