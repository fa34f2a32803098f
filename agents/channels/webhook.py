"""The channel `webhook`: a signed POST to a URL (Standard Webhooks), answered by its status."""

import asyncio
from functools import lru_cache

from aiohttp import ClientTimeout
from aiohttp.connector import Connection

from agents.channels.settings import ChannelFactory, ChannelSettings
from agents.channels.webhook_address import AddressRefusedError, address_check, checked_url
from agents.channels.webhook_answer import clean, not_connected, outcome_of
from agents.channels.webhook_exchange import Exchange, NoAnswerError
from agents.channels.webhook_pool import Pool, Target
from agents.channels.webhook_request import RequestRefusedError, SecretMissingError, request_of, user_agent
from agents.channels.webhook_signature import signing_keys
from agents.ports import Clock, Turn
from schemas.due import DueMessage
from schemas.outcomes import Outcome, Rejected, Response, RetryLater
from schemas.settings_records import StoppedEndpoint
from schemas.times import DAY, at

CONNECT_SHARE = 2 / 3  # of the time limit
URLS_REMEMBERED = 4_096
GONE = 410


class UrlGoneError(Exception):
    """A URL that has said 410 Gone; the text says until when nothing is sent there."""


class WebhookChannel:
    """One pool of kept-alive connections. A request is never repeated but by the schedule, and no redirect is followed.

    A pooled connection that its server has just closed looks the same whether the request was read or not, so what
    fails once a connection stands is told as perhaps sent.
    """

    name = "webhook"

    def __init__(self, settings: ChannelSettings, clock: Clock) -> None:
        self.honours_key = settings.webhook_honours_key
        self.delays_ms = settings.delays_ms
        self.timeout_ms = settings.webhook_timeout_ms
        self.concurrency = settings.webhook_concurrency
        self._clock = clock
        self._keys = signing_keys(settings.webhook_secret or "")
        self._signing_keys = lru_cache(URLS_REMEMBERED)(signing_keys)
        self._flows = settings.flows
        self._check = address_check(settings.webhook_allow_private)
        self._target = lru_cache(URLS_REMEMBERED)(self._new_target)
        self._agent = user_agent()
        self._secrets = settings.secrets
        self._connect_limit = ClientTimeout(connect=self.timeout_ms / 1_000 * CONNECT_SHARE, ceil_threshold=60)
        self._pool: Pool | None = None

    async def start(self) -> None:
        """Open the pool."""
        if self._pool is None:
            self._pool = Pool(self._check, self.concurrency)

    async def send(self, message: DueMessage) -> Outcome:
        """One POST."""
        return await self._post(message, None)

    async def send_in_turn(self, message: DueMessage, turn: Turn) -> Outcome:
        """One POST, connected before its turn; what it waits for that is not its receiver's time."""
        return await self._post(message, turn)

    async def _post(self, message: DueMessage, turn: Turn | None) -> Outcome:
        began_s = asyncio.get_running_loop().time()
        if self._pool is None:
            return RetryLater(reason="the webhook channel is not started")
        try:
            target = self._target(message.to)
            keys, timeout_s, limit = self._of_flow(message, target)
            request = request_of(message, target.head, self._clock.now_ms(), keys, self._agent, self._secrets)
            connection = await self._pool.take(target, limit)
        except (AddressRefusedError, RequestRefusedError, UrlGoneError) as fault:
            return Rejected(reason=clean(str(fault), 300))
        except SecretMissingError as fault:
            return RetryLater(reason=clean(str(fault), 300))
        except Exception as fault:  # noqa: BLE001  failures are outcomes, not exceptions
            return not_connected(fault)
        answer = await _exchanged(connection, request, began_s + timeout_s, turn)
        if not isinstance(answer, Response):
            return answer
        if answer.status == GONE:
            self._stop_url(message, target)
        return outcome_of(answer, self._clock.now_ms())

    async def stop(self) -> None:
        """Close the pool; requests under way are cut off."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.shut()

    def _of_flow(self, message: DueMessage, target: Target) -> tuple[tuple[bytes, ...], float, ClientTimeout]:
        """The signing keys, the time limit in seconds, that of the connection. Raises UrlGoneError, SecretMissingError."""
        if self._flows.stopped:
            self._check_gone(message, target)
        keys, timeout_s = None, None
        if self._flows.by_key:
            for limits in self._flows.of_message(message.flow, message.account, self.name):
                if keys is None and limits.webhook_secrets:
                    keys = tuple(key for name in limits.webhook_secrets for key in self._key_of(name))
                if timeout_s is None and limits.timeout is not None:
                    timeout_s = min(limits.timeout.total_seconds(), self.timeout_ms / 1_000)
        if timeout_s is None:
            return self._keys if keys is None else keys, self.timeout_ms / 1_000, self._connect_limit
        limit = ClientTimeout(connect=timeout_s * CONNECT_SHARE, ceil_threshold=60)
        return self._keys if keys is None else keys, timeout_s, limit

    def _key_of(self, name: str) -> tuple[bytes, ...]:
        secret = self._secrets(name)
        if secret is None:
            raise SecretMissingError(name)
        try:
            return self._signing_keys(secret)
        except ValueError as fault:
            raise SecretMissingError(name, str(fault)) from None

    def _check_gone(self, message: DueMessage, target: Target) -> None:
        stopped = self._flows.is_stopped(target.key, message.flow, at(self._clock.now_ms()))
        if stopped is not None:
            again = f", or until the limits of {stopped.flow} are set again" if stopped.flow else ""
            said = f"{stopped.url} said 410 Gone at {stopped.at:%Y-%m-%d %H:%M:%S} UTC"
            raise UrlGoneError(f"{said}: nothing is sent there for 24 h{again}")

    def _stop_url(self, message: DueMessage, target: Target) -> None:
        """Known to all processes, so that nobody goes on asking it (Standard Webhooks, 410)."""
        now = at(self._clock.now_ms())
        self._flows.report_gone(
            StoppedEndpoint(key=target.key, url=target.place, flow=message.flow, at=now, until=now + DAY)
        )

    def _new_target(self, to: str) -> Target:
        return Target(checked_url(to, self._check))


async def _exchanged(connection: Connection, request: bytes, until_s: float, turn: Turn | None) -> Response | Outcome:
    """What came back by `until_s` of the loop's time, a wait for the turn apart; or why nothing did."""
    exchange, loop = connection.protocol, asyncio.get_running_loop()
    assert isinstance(exchange, Exchange)
    left_s = until_s - loop.time()
    try:
        held = None if turn is None else await turn()
        if held is not None:
            return held
        if not exchange.is_connected():
            return RetryLater(reason="the connection was closed as soon as it stood", unanswered=True)
        return await exchange.post(request, loop.time() + left_s)
    except NoAnswerError as fault:
        return RetryLater(reason=clean(str(fault), 300), maybe_sent=True, unanswered=True)
    except BaseException:
        exchange.should_close = True
        raise
    finally:
        connection.release()


CHANNEL = ChannelFactory("webhook", WebhookChannel, settings=("webhook_secret", "webhook_allow_private", "secrets_dir"))
