"""The agents of the scheduler: they bring records to the owner of the partition, which decides."""

from collections.abc import Callable
from functools import partial
from typing import Any

from agents.owner import PartitionOwner
from agents.ports import Stored

Owners = Callable[[int], PartitionOwner | None]
"""The owner of a partition, if it is here."""


class Early:
    """What the stream brings for owners that are still being made: were it dropped unacked, no commit would pass it."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._waiting: dict[int, list[Callable[[PartitionOwner], None]]] = {}

    def wait(self, partition: int, feed: Callable[[PartitionOwner], None]) -> None:
        """Feed it to the owner once there is one."""
        self._waiting.setdefault(partition, []).append(feed)

    def bring(self, partition: int, owner: PartitionOwner) -> None:
        """The owner is made, and not running yet: it gets what came before it."""
        for feed in self._waiting.pop(partition, ()):
            feed(owner)

    def clear(self) -> None:
        """The partitions go: all of it comes again to whom they are given."""
        self._waiting.clear()


def make_keep_timetable(owners: Owners, early: Early) -> Callable[[Any], Any]:
    """`keep_timetable`: commands on their way to the owner. Never waits, never raises: the owner reads the rest."""

    async def keep_timetable(stream: Any) -> None:
        async for event in stream.noack().events():
            feed = partial(_command, stored(event.message), event.ack)
            owner = owners(event.message.partition)
            if owner is None:
                early.wait(event.message.partition, feed)
            else:
                feed(owner)

    return keep_timetable


def make_apply_acks(owners: Owners, early: Early) -> Callable[[Any], Any]:
    """`apply_acks`: the couriers' answers on their way to the owner."""

    async def apply_acks(stream: Any) -> None:
        async for event in stream.noack().events():
            feed = partial(_ack, stored(event.message), event.ack)
            owner = owners(event.message.partition)
            if owner is None:
                early.wait(event.message.partition, feed)
            else:
                feed(owner)

    return apply_acks


def _command(record: Stored, done: Callable[[], None], owner: PartitionOwner) -> None:
    owner.feed_commands(record, done)


def _ack(record: Stored, done: Callable[[], None], owner: PartitionOwner) -> None:
    owner.feed_acks(record, done)


def stored(message: Any) -> Stored:
    """A Faust message as a record."""
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Stored(message.offset, message.key, message.value, int(message.timestamp * 1000), tuple(pairs))
