"""The channel `log`: a line in this process's log for each message. For first steps and for measuring."""

import logging

import structlog

from agents.channels.settings import ChannelFactory, ChannelSettings
from agents.ports import Clock
from schemas.due import DueMessage
from schemas.message import body_bytes
from schemas.outcomes import Delivered, Outcome, Rejected

BODY_SHOWN = 1_024
DELIVERED = Delivered()


class LogChannel:
    """Says what it was given, at level info. A repeated line harms nobody, so it honours the key."""

    name = "log"
    honours_key = True
    timeout_ms = 1_000
    concurrency = 1_024

    def __init__(self, settings: ChannelSettings, clock: Clock) -> None:  # noqa: ARG002  every factory is called so
        self.delays_ms = settings.delays_ms
        self._gate = logging.getLogger(__name__)
        self._log = structlog.stdlib.get_logger(__name__)

    async def start(self) -> None:
        """Nothing to open."""

    async def send(self, message: DueMessage) -> Outcome:
        """Delivered, at once: it never waits. Rejected for a body that is none."""
        if self._gate.isEnabledFor(logging.INFO):
            try:
                body = body_bytes(message.body, message.body_base64)
            except ValueError as fault:
                return Rejected(reason=str(fault))
            shown = body[:BODY_SHOWN].decode(errors="replace")
            self._log.info("message", key=message.key, to=message.to, attempt=message.attempt, body=shown)
        return DELIVERED

    async def stop(self) -> None:
        """Nothing to close."""


CHANNEL = ChannelFactory("log", LogChannel)
