"""Who may use the API."""

from collections.abc import Awaitable, Callable
from hmac import compare_digest

from fastapi import Request
from pydantic import SecretStr

from gateway.errors import UserError
from gateway.problems import ProblemError

REMEDY = "send `Authorization: Bearer <key>` with the key that the gateway was given as CLEPSYDRA_API_KEY"


class ApiKeyMissingError(UserError):
    """The gateway was not given an API key: it would be open to all."""

    def __init__(self) -> None:
        super().__init__(
            "CLEPSYDRA_API_KEY is not set, and without it anyone could use the API: "
            'set one, for example export CLEPSYDRA_API_KEY="$(openssl rand -hex 16)"'
        )


def key_check(key: SecretStr | None) -> Callable[[Request], Awaitable[None]]:
    """A check of the bearer key, which raises ProblemError 401. Raises ApiKeyMissingError without a key."""
    if key is None:
        raise ApiKeyMissingError
    wanted = key.get_secret_value().encode()

    async def check(request: Request) -> None:
        given = request.headers.get("authorization")
        scheme, _, token = (given or "").partition(" ")
        if scheme.lower() == "bearer" and compare_digest(token.strip().encode(), wanted):
            return
        problem = "the API key is missing" if given is None else "the API key is wrong"
        raise ProblemError(
            401, "unauthorized", "Not authorized", f"{problem}: {REMEDY}", headers={"WWW-Authenticate": "Bearer"}
        )

    return check
