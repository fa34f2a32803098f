"""The HTTP API as pages use it: the Python client, and one answer for all pages that ask the same within a moment."""

import asyncio
from typing import Any
from urllib.parse import quote, urlencode

from clepsydra_client import AsyncClient, ClepsydraError, Retries

from agents.ports import Clock

TIMEOUT_S = 12
RETRIES = Retries(attempts=2)
"""A person waits."""
SHARED_MS = 900
"""Pages ask once a second; so three of them cost the gateway what one does."""


class Api:
    """Requests under one API key. `stop` when nobody uses it any more."""

    def __init__(self, url: str, key: str, clock: Clock) -> None:
        self._client = AsyncClient(url, key, timeout_s=TIMEOUT_S, retries=RETRIES)
        self._clock = clock
        self._shared: dict[str, tuple[int, asyncio.Task[Any]]] = {}

    async def stop(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer's JSON; a change carries a key of its own, so that a repeat does it once. Raises ClepsydraError."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._client.request(method, path, body, headers=named)

    async def shared(self, path: str) -> Any:
        """A GET whose answer serves everyone who asks within a second. Raises ClepsydraError."""
        now = self._clock.now_ms()
        known = self._shared.get(path)
        if known is None or now - known[0] > SHARED_MS:
            self._shared = {p: v for p, v in self._shared.items() if now - v[0] <= SHARED_MS}
            known = self._shared[path] = (now, asyncio.create_task(self.call("GET", path)))
        return await asyncio.shield(known[1])


def address(path: str, **query: str | int | None) -> str:
    """A path with what is asked for; what is None or empty is left out. `from_` stands for `from`."""
    given = {name.rstrip("_"): value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def path_of(kind: str, key: str, action: str = "") -> str:
    """The address of one thing, as in `/v1/messages/post-1`, or of an action on it."""
    return f"/v1/{kind}/{quote(key, safe='')}{action}"


__all__ = ["Api", "ClepsydraError", "address", "path_of"]
