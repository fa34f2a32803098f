"""A due partition, its courier and all around it, in memory."""

from collections.abc import Awaitable, Callable
from typing import Any

from fakes import NOW_MS, FakeChannel, FakeClock, FakeLog, FakeMemory, settle

from agents.ack_writer import AckWriter
from agents.courier import CourierPartition
from agents.flows import Flows
from agents.ports import Record
from agents.send_pool import SendPool
from agents.unrecorded import Unrecorded
from schemas.due import DueMessage, Fence
from schemas.flow_limits import FlowLimits
from schemas.outcomes import Ack, OutcomeRecord, outcome_key
from schemas.settings_records import Flow
from schemas.times import at
from schemas.wire import encode, read_acks, read_outcome


def due(id_: str = "m", **over: Any) -> DueMessage:
    """A due message, due now."""
    fields: dict[str, Any] = {
        "partition": 1,
        "epoch": 1,
        "emitted_at": at(NOW_MS),
        "id": id_,
        "key": f"{id_}/0",
        "target": 0,
        "birth": 7,
        "turn": 1,
        "revision": 1,
        "attempt": 1,
        "due_at": at(NOW_MS),
        "channel": "log",
    }
    return DueMessage(**(fields | over))


def fence(epoch: int) -> Fence:
    return Fence(partition=1, epoch=epoch)


def pack(*elements: DueMessage | Fence) -> bytes:
    return b"[" + b",".join(encode(e) for e in elements) + b"]"


def key(message: DueMessage) -> str:
    return outcome_key(message.key, message.birth, message.turn)


class World:
    """Guards are taken away by giving other classes."""

    def __init__(
        self,
        courier: type[CourierPartition] = CourierPartition,
        ack_writer: type[AckWriter] = AckWriter,
        **channel: Any,
    ) -> None:
        self.clock = FakeClock()
        self.flows = Flows()
        self.channel = FakeChannel(**channel)
        self.due, self.outcomes, self.acks, self.dead = (FakeLog(self.clock) for _ in range(4))
        self.broken: list[Exception] = []
        self.done: list[int] = []
        self.has_lease = True
        self._courier, self._ack_writer = courier, ack_writer

    def set(self, key: str, **limits: Any) -> None:
        """The limits of a flow."""
        self.flows.put(key, Flow(key=key, limits=FlowLimits(**limits), set_at=at(self.clock.ms)))

    def courier(
        self,
        memory: FakeMemory | None = None,
        pool: SendPool | None = None,
        unrecorded: Unrecorded | None = None,
        pause: Callable[[], Awaitable[None]] | None = None,
    ) -> CourierPartition:
        """A new courier, not recovered, which begins after what is done; what it is fed goes through `feed`."""
        writer = self._ack_writer(self.acks, self.broken.append)
        return self._courier(
            partition=0,
            courier="test",
            pool=pool or SendPool(self.channel, self.clock, self.broken.append, flows=self.flows),
            due=self.due,
            outcomes=self.outcomes,
            dead_letters=self.dead,
            memory=memory or FakeMemory(),
            acks=lambda _: writer,
            clock=self.clock,
            lease=lambda: self.has_lease,
            on_broken=self.broken.append,
            flows=self.flows,
            partitions=4,
            since=max(self.done, default=-1) + 1,
            unrecorded=unrecorded,
            pause=pause,
        )

    async def recovered(self, memory: FakeMemory | None = None) -> CourierPartition:
        courier = self.courier(memory)
        await courier.recover()
        return courier

    def lay(self, *elements: DueMessage | Fence) -> int:
        """A record in the due log, not fed yet; its offset."""
        return self.due.land(Record(b"p1", pack(*elements)))

    def feed(self, courier: CourierPartition, offset: int) -> None:
        courier.feed(offset, self.due.stored[offset].value, lambda: self.done.append(offset))

    async def give(self, courier: CourierPartition, *elements: DueMessage | Fence) -> int:
        """Lay a record, feed it, let it be worked on."""
        offset = self.lay(*elements)
        self.feed(courier, offset)
        await settle()
        return offset

    def acked(self) -> list[Ack]:
        return self.acks.decoded(read_acks)

    def results(self) -> list[Any]:
        return [ack.result for ack in self.acked()]

    def recorded(self) -> list[Any]:
        return [r.result for r in self.outcomes.decoded(read_outcome) if isinstance(r, OutcomeRecord)]


def without(name: str, instead: Callable[..., Any]) -> type[CourierPartition]:
    """A courier that lacks one guard."""
    return type(f"Without_{name}", (CourierPartition,), {name: instead})
