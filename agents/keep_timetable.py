"""The agents of the scheduler: they bring records to the owner of the partition, which decides."""

from collections.abc import Callable
from typing import Any

from agents.owner import PartitionOwner
from agents.ports import Stored

Owners = Callable[[int], PartitionOwner | None]
"""The owner of a partition, if it is here."""


def make_keep_timetable(owners: Owners) -> Callable[[Any], Any]:
    """`keep_timetable`: commands on their way to the owner. Never waits, never raises: the owner reads the rest itself."""

    async def keep_timetable(stream: Any) -> None:
        async for event in stream.noack().events():
            owner = owners(event.message.partition)
            if owner is not None:
                owner.feed_commands(stored(event.message), event.ack)

    return keep_timetable


def make_apply_acks(owners: Owners) -> Callable[[Any], Any]:
    """`apply_acks`: the couriers' answers on their way to the owner."""

    async def apply_acks(stream: Any) -> None:
        async for event in stream.noack().events():
            owner = owners(event.message.partition)
            if owner is not None:
                owner.feed_acks(stored(event.message), event.ack)

    return apply_acks


def stored(message: Any) -> Stored:
    """A Faust message as a record."""
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Stored(message.offset, message.key, message.value, int(message.timestamp * 1000), tuple(pairs))
