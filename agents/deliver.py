"""The bolts: feed due records to the couriers of their partitions."""

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Protocol

from agents.courier import CourierPartition


class _Message(Protocol):
    partition: int
    offset: int
    value: bytes | None


class DueEvent(Protocol):
    """What a Faust event has."""

    @property
    def message(self) -> _Message:
        """The Kafka record."""
        ...

    def ack(self) -> bool:
        """Let its offset be committed."""
        ...


class DueStream(Protocol):
    """What a Faust stream has."""

    def noack(self) -> "DueStream":
        """A stream that acks nothing by itself."""
        ...

    def events(self) -> AsyncIterable[DueEvent]:
        """Its events."""
        ...


def make_deliver(
    channel_name: str,
    partitions: Callable[[int], CourierPartition | None],
    on_broken: Callable[[Exception], None],
) -> Callable[[DueStream], Awaitable[None]]:
    """An agent that feeds `due.<channel>`. `partitions` gives the courier of an assigned partition, recovered or not.

    An event of a partition that has none is left unacked: whoever is assigned it reads it again. The body never raises
    (Faust would ack the event and go on, rule 8); a fault goes to `on_broken`, which ends the process.
    """

    async def deliver(stream: DueStream) -> None:
        async for event in stream.noack().events():
            try:
                message = event.message
                courier = partitions(message.partition)
                if courier is not None:
                    courier.feed(message.offset, message.value, event.ack)
                    await courier.room()
            except Exception as error:  # noqa: BLE001 - see above
                on_broken(error)

    deliver.__name__ = f"deliver_{channel_name}"
    return deliver
