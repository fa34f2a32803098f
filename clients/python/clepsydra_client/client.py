"""The clients: one that blocks, one that is awaited. They differ in how calls are carried out, in nothing else."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from clepsydra_client.carriers import AwaitingCarrier, BlockingCarrier
from clepsydra_client.dead_letters import DeadLetters
from clepsydra_client.endpoints import Awaiting, Blocking, Carrier, Group, M, endpoint, read_all
from clepsydra_client.exchange import Call, Retries
from clepsydra_client.flows import Flows
from clepsydra_client.given import Moment
from clepsydra_client.messages import Messages
from clepsydra_client.records import Channel, Partition, Window
from clepsydra_client.schedules import Schedules
from clepsydra_client.version import __version__
from clepsydra_client.writing import encoded, query

URL = "http://127.0.0.1:8080"
TIMEOUT_S = 30.0
"""Longer than a gateway waits for an owner's answer (10 s)."""


class Api(Group[M]):
    """What there is to ask for."""

    messages: Messages[M]
    dead_letters: DeadLetters[M]
    flows: Flows[M]
    schedules: Schedules[M]

    def __init__(self, carrier: Carrier) -> None:
        super().__init__(carrier)
        self.messages = Messages(carrier)
        self.dead_letters = DeadLetters(carrier)
        self.flows = Flows(carrier)
        self.schedules = Schedules(carrier)

    @endpoint
    def windows(self, since: Moment | None = None, until: Moment | None = None) -> Call[tuple[Window, ...]]:
        """What is in each due minute, and how late it went out: the last hour and the next, unless told."""
        return Call(
            method="GET",
            path="/v1/windows",
            read=read_all("windows", Window),
            params=query({"from": since, "to": until}),
        )

    @endpoint
    def partitions(self) -> Call[tuple[Partition, ...]]:
        """Who owns each partition, and what waits there."""
        return Call(method="GET", path="/v1/partitions", read=read_all("partitions", Partition))

    @endpoint
    def channels(self) -> Call[tuple[Channel, ...]]:
        """The ways to send, and what is missing for those that cannot be used."""
        return Call(method="GET", path="/v1/channels", read=read_all("channels", Channel))

    @endpoint
    def read(self, path: str, params: Mapping[str, Any] | None = None) -> Call[bytes]:
        """What a GET answers, as it is: for those who pass it on. Parameters that are None are left out."""
        return Call(method="GET", path=path, read=lambda found: found.content, params=query(params or {}))

    @endpoint
    def request(
        self,
        method: str,
        path: str,
        content: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Call[Any]:
        """Any request, its content and its answer as plain JSON: for what has no method here yet."""
        return Call(
            method=method,
            path=path,
            read=lambda found: found.json() if found.content else None,
            params=params or {},
            headers=headers or {},
            content=None if content is None else encoded(content),
            key=idempotency_key,
        )


def _settings(url: str | None, key: str | None, timeout_s: float) -> dict[str, Any]:
    """Raises ValueError without a key."""
    found = key or os.environ.get("CLEPSYDRA_API_KEY")
    if not found:
        raise ValueError("no API key: give key=..., or set CLEPSYDRA_API_KEY")
    return {
        "base_url": url or os.environ.get("CLEPSYDRA_URL") or URL,
        "headers": {"Authorization": f"Bearer {found}", "User-Agent": f"clepsydra-client/{__version__}"},
        "timeout": timeout_s,
    }


class Client(Api[Blocking]):
    """Each call blocks until it is answered. Use it in a `with`, or `close` it; threads may share one.

    `url` and `key` default to CLEPSYDRA_URL and CLEPSYDRA_API_KEY. `transport`: an httpx transport, for proxies and tests.
    Raises ValueError without a key.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: Retries = Retries(),  # noqa: B008  a frozen value
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(transport=transport, **_settings(url, key, timeout_s))
        super().__init__(BlockingCarrier(self._http, retries))

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """The client."""
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        """Closes it."""
        self.close()


class AsyncClient(Api[Awaiting]):
    """Each call is awaited. Use it in an `async with`, or await `aclose`; the tasks of one event loop may share one.

    `url` and `key` default to CLEPSYDRA_URL and CLEPSYDRA_API_KEY. `transport`: an httpx transport, for proxies and tests.
    Raises ValueError without a key.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: Retries = Retries(),  # noqa: B008  a frozen value
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(transport=transport, **_settings(url, key, timeout_s))
        super().__init__(AwaitingCarrier(self._http, retries))

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """The client."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None
    ) -> None:
        """Closes it."""
        await self.aclose()
