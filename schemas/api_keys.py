"""API keys: how they are made, known again, and what they may do. Pure: randomness and time are arguments."""

from collections.abc import Collection
from datetime import datetime
from hashlib import sha256

from schemas.settings_records import ApiKey, Scope

PREFIX = "clk_"
"""By it secret scanners and people know what they have found."""
SECRET_BYTES = 32
ENDING = 4


def digest(key: str) -> str:
    """What is kept of a key. SHA-256 without salt: the key is random, so no table of guesses reaches it."""
    return sha256(key.encode()).hexdigest()


def new_key(
    key: str, *, secret: str, name: str, scopes: Collection[Scope], created_at: datetime, expires_at: datetime | None
) -> ApiKey:
    """The record of a new key; `key` names it, `secret` is what its holder sends."""
    return ApiKey(
        key=key,
        name=name,
        scopes=tuple(sorted(set(scopes))),
        sha256=digest(secret),
        ending=secret[-ENDING:],
        created_at=created_at,
        expires_at=expires_at,
    )


def allows(scopes: Collection[Scope], wanted: Scope) -> bool:
    """Whether one of the scopes is the wanted one, or admin, which holds the others."""
    return wanted in scopes or "admin" in scopes
