"""The HTTP API as commands use it."""

import asyncio
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from gateway.errors import UserError

TIMEOUT_S = 20


class ApiClient:
    """One request at a time; every refusal is a UserError that says what the gateway said."""

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url.rstrip("/")
        self._key = key

    def message(self, method: str, message_id: str, body: Any = None, **headers: str | None) -> dict[str, Any]:
        """`/v1/messages/<id>`. Raises UserError."""
        return self.call(method, f"/v1/messages/{quote(message_id, safe='')}", body, **headers)

    def call(self, method: str, path: str, body: Any = None, **headers: str | None) -> dict[str, Any]:
        """The answer's JSON; header names with `_` for `-`, None for no header. Raises UserError."""
        if self._key is None:
            raise UserError("no API key: set CLEPSYDRA_API_KEY or give --api-key (`clepsydra dev` prints its own)")
        given = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        given["Authorization"] = f"Bearer {self._key}"
        try:
            status, content = asyncio.run(self._exchange(method, path, body, given))
        except aiohttp.InvalidURL as fault:
            raise UserError(f"{self._url!r} is no address: give --url as in http://127.0.0.1:8080") from fault
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            raise UserError(
                f"the gateway at {self._url} does not answer ({reason(fault)}): "
                "start `clepsydra dev` or `clepsydra gateway`, "
                "or correct --url / CLEPSYDRA_URL"
            ) from fault
        return _content(status, content)

    async def _exchange(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, bytes]:
        data = None if body is None else msgspec.json.encode(body)
        if data is not None:
            headers["Content-Type"] = "application/json"
        url = URL(self._url + path, encoded=True)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, url, data=data, headers=headers) as response,
        ):
            return response.status, await response.read()


def reason(fault: Exception) -> str:
    """Why a connection failed, in a few words."""
    inner = getattr(fault, "os_error", fault)
    if isinstance(inner, ConnectionRefusedError):
        return "connection refused"
    return str(fault) or type(fault).__name__


def _content(status: int, content: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:
        raise UserError(f"the answer ({status}) is not of a Clepsydra gateway: correct --url / CLEPSYDRA_URL") from None
    if status >= 400:
        raise UserError(_said(found))
    return found


def _said(problem: dict[str, Any]) -> str:
    """The problem in a line."""
    faults = [f"{e['field'] or 'request'} {e['problem']}: {e['remedy']}" for e in problem.get("errors", ())]
    said = "; ".join(faults) or problem.get("detail", "")
    state = f" (it is {problem['state']})" if problem.get("state") else ""
    return f"{problem.get('title', 'refused')}{state}: {said}"
