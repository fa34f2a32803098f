"""Connections to receivers: aiohttp's pool, look-ups and TLS, with our own address check and exchange."""

from functools import partial
from hashlib import blake2b
from typing import Any, cast

from aiohttp import ClientTimeout, TCPConnector
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from yarl import URL

from agents.channels.webhook_address import Check, CheckedResolver, checked_socket
from agents.channels.webhook_exchange import Exchange

KEY_MAX = 250
KEEP_ALIVE_S = 4  # under the 5 s of common servers: they seldom close what we are about to use


class Target:
    """Where a request goes: the part of aiohttp's ClientRequest that its connector looks at, and the request's head."""

    proxy = None
    server_hostname = None
    ssl = True

    def __init__(self, url: URL) -> None:
        self.url = url
        self.port = url.port
        self.connection_key = ConnectionKey(url.raw_host or "", url.port, self.is_ssl(), True, None, None, None)  # noqa: FBT003
        self.head = f"POST {url.raw_path_qs} HTTP/1.1\r\nHost: {url.host_port_subcomponent}\r\n"

    @property
    def place(self) -> str:
        """The URL without its query: what a 410 Gone is about."""
        return str(self.url.with_query(None))

    @property
    def key(self) -> str:
        """The same, as short as a key has to be."""
        place = self.place
        return place if len(place) <= KEY_MAX else blake2b(place.encode(), digest_size=16).hexdigest()

    def is_ssl(self) -> bool:
        """Whether it is to be encrypted."""
        return self.url.scheme == "https"


class Pool(TCPConnector):
    """Kept-alive connections, `limit` at most, to allowed addresses only. Made in a running loop."""

    def __init__(self, check: Check, limit: int) -> None:
        self._names = CheckedResolver(check)
        super().__init__(
            limit=limit,
            keepalive_timeout=KEEP_ALIVE_S,
            resolver=self._names,
            socket_factory=checked_socket(check),
        )
        self._factory: Any = partial(Exchange, self._loop)

    async def take(self, target: Target, limit: ClientTimeout) -> Connection:
        """A connection to the target, to be released. Raises AddressRefusedError, TimeoutError, ClientError."""
        return await self.connect(cast("Any", target), [], limit)

    async def shut(self) -> None:
        """Close all connections and let go of the look-ups' threads."""
        await self.close()
        await self._names.close()
