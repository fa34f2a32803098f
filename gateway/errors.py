"""What a user did, or what their set-up lacks: told in a line, without a traceback."""

import os

from aiokafka.errors import KafkaConnectionError, KafkaError

from schemas.wire import NewerRecordError
from topology.archive_errors import ArchiveAwayError, RebuildRunsError
from topology.commander_errors import CommanderStartError
from topology.embedded_errors import EmbeddedServerError
from topology.settings import SettingsError
from topology.topic_admin import TopicsError


class UserError(Exception):
    """What is wrong, and what to do."""


TOLD = (
    UserError,
    ArchiveAwayError,
    RebuildRunsError,
    CommanderStartError,
    EmbeddedServerError,
    NewerRecordError,
    SettingsError,
    TopicsError,
)
"""Errors whose text says what to do."""


def _secured() -> str:
    """A broker that asks for TLS, or refuses what it is shown, hangs up without a word."""
    protocol = os.environ.get("CLEPSYDRA_SECURITY_PROTOCOL") or "PLAINTEXT"
    hints = {"SSL": "CLEPSYDRA_TLS_CA", "SASL": "CLEPSYDRA_SASL_USERNAME, _PASSWORD, _MECHANISM"}
    looked = [hint for word, hint in hints.items() if word in protocol.upper()]
    return "; or ".join(["", f"CLEPSYDRA_SECURITY_PROTOCOL={protocol} is not what that port speaks", *looked])


def told(fault: Exception, brokers: str) -> str | None:
    """The text for a user; None for a bug."""
    match fault:
        case KafkaConnectionError():
            return f"no Kafka broker answers at {brokers}: start one (`clepsydra dev`), or correct CLEPSYDRA_BROKERS{_secured()}"
        case KafkaError():
            return f"Kafka at {brokers} cannot be used: {fault}"
        case _:
            return str(fault) if isinstance(fault, TOLD) else None
