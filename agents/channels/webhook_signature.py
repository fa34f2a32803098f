"""Signatures of webhooks as Standard Webhooks has them (https://www.standardwebhooks.com, symmetric `v1`)."""

import hmac
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from urllib.parse import quote

SECRET_PREFIX = "whsec_"  # noqa: S105  the prefix of secrets, not one
SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64
VISIBLE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) != "%")
PLAIN = re.compile("[!-$&-~]+")


def signing_keys(secrets: str) -> tuple[bytes, ...]:
    """The key of each secret; while one replaces another there are two, with a space between.

    Raises ValueError, which does not show the secret, unless each is `whsec_` and the base64 of 24 to 64 bytes.
    """
    return tuple(_key(secret) for secret in secrets.split())


def _key(secret: str) -> bytes:
    try:
        key = a2b_base64(secret.removeprefix(SECRET_PREFIX).encode(), strict_mode=True)
    except (Base64Error, UnicodeEncodeError):
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise ValueError(
            "the webhook secret is not `whsec_` and the base64 of 24 to 64 bytes: "
            "make one with `echo whsec_$(openssl rand -base64 32)`"
        )
    return key


def webhook_id(key: str) -> str:
    """The delivery key as a header can carry it: percent-encoded where it is not visible ASCII, and `%` itself.

    Two keys never become one, so that no receiver takes a message for the repeat of another.
    """
    return key if PLAIN.fullmatch(key) else quote(key, safe=VISIBLE, errors="surrogatepass")


def signature(keys: tuple[bytes, ...], sent_id: str, timestamp: str, body: bytes) -> str:
    """The value of `webhook-signature`: `v1,` and base64 of the HMAC-SHA256 over id.timestamp.body, for each key."""
    signed = f"{sent_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_digest(key, signed)}" for key in keys)


def _digest(key: bytes, signed: bytes) -> str:
    return b2a_base64(hmac.digest(key, signed, "sha256"), newline=False).decode()
