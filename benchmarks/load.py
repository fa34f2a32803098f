"""The messages of a load."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from msgspec import Raw

from schemas.commands import Create
from schemas.ids import delivery_key
from schemas.message import Message

BODY = Raw(b'"' + b"x" * 300 + b'"')
Account = Callable[[int], str | None]


def no_account(_: int) -> None:
    """No flow: spread over all couriers by message id."""


def one_account(_: int) -> str:
    """All of one flow: in one courier's hands."""
    return "account"


def own_account(number: int) -> str:
    """A flow for each message."""
    return f"account-{number}"


def creates(
    name: str,
    due_ms: Sequence[int] | Iterator[int],
    account: Account = no_account,
    channel: str = "log",
    to: str = "",
) -> Iterator[Create]:
    """One command per due time; ids are `<name>-<number>`."""
    for number, due in enumerate(due_ms):
        message = Message(
            id=f"{name}-{number}", due_at=datetime.fromtimestamp(due / 1000, UTC), channel=channel, to=to, body=BODY,
            account=account(number),
        )  # fmt: skip
        yield Create(command_id=f"create-{name}-{number}", message=message)


def keys_due(name: str, due_ms: Sequence[int]) -> dict[str, int]:
    """The due time of each delivery key of such a load."""
    return {delivery_key(f"{name}-{number}", 0): due for number, due in enumerate(due_ms)}


def spread(start_ms: int, rate: int, seconds: int) -> list[int]:
    """Due times, evenly spread in whole milliseconds."""
    return [start_ms + number * 1000 // rate for number in range(rate * seconds)]
