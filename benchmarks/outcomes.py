"""What the couriers' own records say: when each message was in a courier's hands."""

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.figures import Arrival
from schemas.outcomes import OutcomeRecord
from schemas.wire import read_outcome
from topology.settings import Settings
from topology.topics import TopicNames

POLL_MS = 200


class Outcomes:
    """Reads one outcomes topic from its start; looking at its ends costs nothing while it is written."""

    def __init__(self, settings: Settings, channel: str) -> None:
        topic = TopicNames(settings.prefix).outcomes(channel)
        self._partitions = [TopicPartition(topic, n) for n in range(settings.due_partitions)]
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.brokers, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        self.arrivals: list[Arrival] = []

    async def start(self) -> None:
        await self._consumer.start()
        self._consumer.assign(self._partitions)

    async def stop(self) -> None:
        await self._consumer.stop()

    async def count(self) -> int:
        """How many records there are, claims and fences among them."""
        return sum((await self._consumer.end_offsets(self._partitions)).values())

    async def read(self) -> list[Arrival]:
        """All arrivals up to now: one for each record of a send that was begun, void or not."""
        ends = await self._consumer.end_offsets(self._partitions)
        while any([await self._consumer.position(p) < end for p, end in ends.items()]):
            for records in (await self._consumer.getmany(timeout_ms=POLL_MS)).values():
                self.arrivals.extend(a for r in records if r.value and (a := _arrival(r.value)))
        return self.arrivals


def _arrival(value: bytes) -> Arrival | None:
    match read_outcome(value):
        case OutcomeRecord(key=key, started_at=started) if started is not None:
            return Arrival(key, started.timestamp() * 1000)
        case _:
            return None
