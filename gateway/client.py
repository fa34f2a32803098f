"""The HTTP API as commands use it: the Python client, its errors told as those of the user."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
from clepsydra_client import ApiError, Client, Retries, Unreachable, Unreadable

from gateway.errors import UserError

TIMEOUT_S = 20
RETRIES = Retries(attempts=3)
"""A person waits."""


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
        given = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        key = given.pop("Idempotency-Key", None)
        with (
            told_to_users(self._url),
            Client(self._url, checked_key(self._key), timeout_s=TIMEOUT_S, retries=RETRIES) as client,
        ):
            found: dict[str, Any] = client.request(method, path, body, headers=given, idempotency_key=key)
            return found

    def get(self, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        """What is found there. Raises UserError."""
        with (
            told_to_users(self._url),
            Client(self._url, checked_key(self._key), timeout_s=TIMEOUT_S, retries=RETRIES) as client,
        ):
            found: dict[str, Any] = client.request("GET", path, params=params)
            return found


def checked_key(key: str | None) -> str:
    """The API key. Raises UserError without one."""
    if not key:
        raise UserError("no API key: set CLEPSYDRA_API_KEY or give --api-key (`clepsydra dev` prints its own)")
    return key


@contextmanager
def told_to_users(url: str) -> Iterator[None]:
    """What the client raises is raised as a UserError."""
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as fault:
        raise UserError(f"{url!r} is no address: give --url as in http://127.0.0.1:8080") from fault
    except Unreachable as fault:
        if isinstance(fault.__cause__, httpx.UnsupportedProtocol):
            raise UserError(f"{url!r} is no address: give --url as in http://127.0.0.1:8080") from fault
        raise UserError(
            f"the gateway at {url} does not answer ({reason(fault.__cause__ or fault)}): "
            "start `clepsydra dev` or `clepsydra gateway`, or correct --url / CLEPSYDRA_URL"
        ) from fault
    except Unreadable as fault:
        raise UserError(f"the answer is not of a Clepsydra gateway: correct --url / CLEPSYDRA_URL ({fault})") from fault
    except ApiError as fault:
        raise UserError(str(fault)) from fault


def reason(fault: BaseException) -> str:
    """Why a connection failed, in a few words."""
    inner = getattr(fault, "os_error", fault)
    if isinstance(inner, ConnectionRefusedError) or "Connection refused" in str(fault):
        return "connection refused"
    return str(fault) or type(fault).__name__
