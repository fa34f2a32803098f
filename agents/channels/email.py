"""The channel `email`: SMTP with STARTTLS or TLS (RFC 5321, RFC 3207, RFC 8314).

No mail server drops a repeat, so the key is not honoured: what ends without an answer after DATA is `unknown`.
"""

import asyncio
import ssl
from collections import deque

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPResponseException,
    SMTPSenderRefused,
)

from agents.channels.email_message import Envelope, EnvelopeError, envelope
from agents.channels.settings import ChannelFactory, ChannelSettings
from agents.ports import Clock
from schemas.due import DueMessage
from schemas.outcomes import Delivered, Outcome, Rejected, Response, RetryLater
from schemas.times import at

BEGIN_SHARE = 1 / 3
"""Of the time limit, up to DATA: what fails until then was surely not sent."""
IDLE_MS_MAX = 8_000
"""How long a connection is kept for the next message."""
REASON_KEPT = 300
TOO_LARGE = 552  # RFC 5321, 4.2.3: the one refusal of a sender that is the message's fault


class EmailChannel:
    """One transaction per message, over connections that are kept for some seconds."""

    name = "email"
    honours_key = False
    concurrency = 16

    def __init__(self, settings: ChannelSettings, clock: Clock) -> None:
        self.delays_ms = settings.delays_ms
        self.timeout_ms = settings.email_timeout_ms
        self._settings, self._clock = settings, clock
        self._idle: deque[tuple[int, SMTP]] = deque()
        self._started = False

    async def start(self) -> None:
        """Nothing is opened before the first message."""
        self._started = True

    async def send(self, message: DueMessage) -> Outcome:
        """One message to one address."""
        if not self._started:
            return RetryLater(reason="the email channel is not started")
        client: SMTP | None = None
        try:
            wanted = envelope(message, self._settings.email_from, at(self._clock.now_ms()))
            async with asyncio.timeout(self.timeout_ms / 1_000 * BEGIN_SHARE):
                client = await self._connected()
                await client.mail(wanted.sender)
                await client.rcpt(wanted.to)
        except EnvelopeError as fault:
            return Rejected(reason=str(fault)[:REASON_KEPT])
        except Exception as fault:  # noqa: BLE001  failures are outcomes, not exceptions
            _drop(client)
            return _before_data(fault)
        except BaseException:
            _drop(client)
            raise
        return await self._data(client, wanted)

    async def stop(self) -> None:
        """Close the connections that wait."""
        self._started = False
        while self._idle:
            _drop(self._idle.pop()[1])

    async def _data(self, client: SMTP, wanted: Envelope) -> Outcome:
        """From here on it may have been sent whenever there is no answer."""
        try:
            async with asyncio.timeout(self.timeout_ms / 1_000 * (1 - BEGIN_SHARE) * 0.9):
                answer = await client.data(wanted.content)
        except SMTPResponseException as refused:
            _drop(client)
            return _refused(refused)
        except Exception as fault:  # noqa: BLE001  failures are outcomes, not exceptions
            _drop(client)
            return RetryLater(reason=f"no answer to the message: {_told(fault)}"[:REASON_KEPT], maybe_sent=True)
        except BaseException:
            _drop(client)
            raise
        self._idle.append((self._clock.now_ms(), client))
        return Delivered(response=Response(status=answer.code, body=answer.message[:REASON_KEPT]))

    async def _connected(self) -> SMTP:
        """A connection that is ready for a transaction. Raises SMTPException, OSError, ValueError."""
        while self._idle:
            since, client = self._idle.pop()
            if self._clock.now_ms() - since < IDLE_MS_MAX and client.is_connected:
                try:
                    await client.rset()
                except (SMTPException, OSError):
                    _drop(client)
                else:
                    return client
            else:
                _drop(client)
        return await self._connect()

    async def _connect(self) -> SMTP:
        s = self._settings
        host, _, port = s.email_server.rpartition(":")
        context = ssl.create_default_context(cafile=s.email_ca)
        client = SMTP(
            hostname=host.strip("[]"),
            port=int(port),
            username=s.email_user,
            password=s.email_password,
            use_tls=s.email_tls == "tls",
            start_tls=s.email_tls == "starttls",
            tls_context=None if s.email_tls == "none" else context,
            timeout=self.timeout_ms / 1_000,
        )
        try:
            await client.connect()
        except BaseException:
            _drop(client)
            raise
        return client


def _drop(client: SMTP | None) -> None:
    if client is not None:
        client.close()


def _told(fault: BaseException) -> str:
    return str(fault) or type(fault).__name__


def _before_data(fault: Exception) -> Outcome:
    """Nothing was sent. What is wrong with this set-up is not the message's fault: it waits for a person to mend it."""
    match fault:
        case SMTPAuthenticationError():
            return RetryLater(
                reason=f"the mail server refuses the log-in: {_told(fault)}; see CLEPSYDRA_EMAIL_USER"[:REASON_KEPT]
            )
        case SMTPSenderRefused(code=code) if code != TOO_LARGE:
            return RetryLater(reason=f"the sender is refused: {_told(fault)}; see CLEPSYDRA_EMAIL_FROM"[:REASON_KEPT])
        case SMTPResponseException():
            return _refused(fault)
        case TimeoutError():
            return RetryLater(reason="the mail server does not answer within the time limit", unanswered=True)
        case _:
            return RetryLater(reason=f"no connection to the mail server: {_told(fault)}"[:REASON_KEPT], unanswered=True)


def _refused(fault: SMTPResponseException) -> Outcome:
    """4yz may work later, 5yz will not (RFC 5321, 4.2.1)."""
    reason = f"{fault.code} {fault.message}".replace("\n", " ")[:REASON_KEPT]
    response = Response(status=fault.code, body=fault.message[:REASON_KEPT])
    if 500 <= fault.code < 600:
        return Rejected(reason=reason, response=response)
    return RetryLater(reason=reason, response=response)


def _missing(settings: ChannelSettings) -> str:
    if settings.email_server and settings.email_from:
        return ""
    return "set CLEPSYDRA_EMAIL_SERVER=host:port and CLEPSYDRA_EMAIL_FROM=address"


CHANNEL = ChannelFactory(
    "email",
    EmailChannel,
    settings=("email_server", "email_tls", "email_user", "email_password", "email_from", "email_ca"),
    missing=_missing,
)
