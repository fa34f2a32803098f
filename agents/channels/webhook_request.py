"""What a webhook request holds: its body and headers."""

import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from agents.channels.webhook_signature import SECRET_PREFIX, signature, webhook_id
from schemas.due import DueMessage
from schemas.message import SECRET_MARK, body_bytes

OURS = frozenset({"webhook-id", "webhook-timestamp", "webhook-signature", "idempotency-key", "user-agent"})
REFUSED = frozenset({
    "connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
"""Headers of the connection, not of the message (RFC 9110, 7.6.1): the first hop would take them for its own."""


NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
NOT_IN_VALUES = re.compile(r"[\r\n\x00]")


class RequestRefusedError(ValueError):
    """A message that no request can be made of."""


class SecretMissingError(Exception):
    """A secret is named that this courier does not have, or cannot use."""

    def __init__(self, name: str, fault: str = "") -> None:
        remedy = f"set CLEPSYDRA_SECRET_{name} for it, or put a file {name} into CLEPSYDRA_SECRETS_DIR"
        super().__init__(
            f"the secret {name!r} cannot be used: {fault}"
            if fault
            else f"this courier has no secret {name!r}: {remedy}"
        )


Secrets = Callable[[str], str | None]
"""The value of a secret, by name."""


def user_agent() -> str:
    """`Clepsydra/<version>`."""
    try:
        return f"Clepsydra/{version('clepsydra')}"
    except PackageNotFoundError:
        return "Clepsydra"


def request_of(
    message: DueMessage, head: str, now_ms: int, keys: tuple[bytes, ...], agent: str, secrets: Secrets
) -> bytes:
    """The whole request: `head` (request line and Host), our headers, the user's, the body. Ours win.

    Raises RequestRefusedError for a body, key or header that cannot be sent, or is not the user's to set;
    SecretMissingError.
    """
    try:
        body = body_bytes(message.body, message.body_base64)
        sent_id = webhook_id(message.key)
        timestamp = str(now_ms // 1_000)
        signed = f"webhook-signature: {signature(keys, sent_id, timestamp, body)}\r\n" if keys else ""
        text = (
            f"{head}User-Agent: {agent}\r\nContent-Length: {len(body)}\r\n"
            f"webhook-id: {sent_id}\r\nwebhook-timestamp: {timestamp}\r\n{signed}"
            f"Idempotency-Key: {sent_id}\r\n{_users(message, bool(body), secrets)}\r\n"
        )
        return text.encode() + body
    except ValueError as fault:
        raise RequestRefusedError(str(fault)) from fault


def _users(message: DueMessage, has_body: bool, secrets: Secrets) -> str:  # noqa: FBT001
    content_type = message.content_type
    lines = ""
    for name, value in message.headers.items():
        lower = name.lower()
        if lower in REFUSED:
            raise RequestRefusedError(f"the header {name} belongs to the connection: leave it out")
        if lower == "content-type":
            content_type = value if content_type is None else content_type
        elif lower not in OURS:
            lines += _line(name, _revealed(value, secrets))
    if content_type is None and has_body:
        content_type = _default_type(message)
    return lines if content_type is None else lines + _line("Content-Type", content_type)


def _revealed(value: str, secrets: Secrets) -> str:
    if not value.startswith(SECRET_MARK):
        return value
    name = value.removeprefix(SECRET_MARK)
    secret = secrets(name)
    if secret is None:
        raise SecretMissingError(name)
    if secret.startswith(SECRET_PREFIX):
        raise RequestRefusedError(f"the secret {name!r} signs webhooks: it is told to nobody")
    return secret


def _line(name: str, value: str) -> str:
    if not NAME.fullmatch(name) or NOT_IN_VALUES.search(value):
        raise RequestRefusedError(f"the header {name[:100]!r} has a character that headers cannot have: leave it out")
    return f"{name}: {value}\r\n"


def _default_type(message: DueMessage) -> str:
    if message.body_base64 is not None:
        return "application/octet-stream"
    return "text/plain; charset=utf-8" if bytes(message.body)[:1] == b'"' else "application/json"
