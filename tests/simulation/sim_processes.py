"""Processes of the simulation: they run the product's own owner and courier over logs whose writes land when they like."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from sim_logs import Op, PortLog, SimLog
from sim_stores import SimMemory, SimMirror

from agents.ack_writer import AckWriter
from agents.claimed_log import LostClaimError
from agents.courier import CourierPartition
from agents.owner import PartitionOwner
from agents.ports import LogBrokenError, Seat
from agents.send_pool import SendPool
from agents.unrecorded import Unrecorded
from schemas.due import DueMessage
from schemas.outcomes import Outcome

CHANNEL = "post"


class SimClock:
    def __init__(self, world: Any) -> None:
        self.world = world

    def now_ms(self) -> int:
        return self.world.now_ms

    async def sleep_ms(self, ms: float) -> None:
        await asyncio.sleep(max(ms, 0) / 1000)

    async def wait(self, event: asyncio.Event, ms: float) -> None:
        try:
            async with asyncio.timeout(max(ms, 0) / 1000):
                await event.wait()
        except TimeoutError:
            pass


class Watch:
    """Looks for one thing only: an ack that never came."""

    def __init__(self, world: Any) -> None:
        self.world = world

    def overdue_acks(self, count: int) -> None:
        self.world.note(f"{count} emissions have had no ack for 15 minutes")
        assert not self.world.calm, "G1: an ack was lost: without the emission after 15 minutes this would never end"

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


@dataclass(eq=False)
class Process:
    """What dies together. After its death what it asked is still under way, or is lost."""

    world: Any
    name: str
    alive: bool = True
    zombie: bool = False
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def ask(self, kind: str, target: Any, what: Any) -> asyncio.Future[Any]:
        future = self.world.loop.create_future()
        if self.alive:
            self.world.ops.append(Op(next(self.world.numbers), self, kind, target, what, future))
        return future

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.world.loop.create_task(work)
        task.add_done_callback(self.ended)
        self.tasks.append(task)

    def ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.world.failures.append(task.exception())

    def port(self, log: SimLog) -> PortLog:
        return PortLog(self, log)

    def die(self, *, with_ops: bool) -> None:
        """`with_ops`: what is under way never lands."""
        self.alive = False
        for task in self.tasks:
            task.cancel()
        for op in [o for o in self.world.ops if o.process is self]:
            if with_ops or op.kind in ("read", "end"):
                self.world.ops.remove(op)
            else:
                op.process = None


class Scheduler(Process):
    """One scheduler process with one partition. `disk` outlives it."""

    def __init__(self, world: Any, name: str, disk: SimMirror) -> None:
        super().__init__(world, name)
        self.disk = disk
        self.disk.untold.clear()  # in memory only
        self.positions = {n: world.committed[n] for n in ("commands", "acks")}
        self.owner = self.make()
        self.spawn(self.run())

    def streams(self) -> list[tuple[str, SimLog]]:
        return [("commands", self.world.commands), ("acks", self.world.acks)]

    def make(self) -> PartitionOwner:
        w = self.world
        seat = Seat(
            partitions=1,
            timetable=self.port(w.timetable), commands=self.port(w.commands), acks=self.port(w.acks),
            events=self.port(w.events), dead_letters=self.port(w.dead), windows=self.port(w.windows),
            answers=lambda _: self.port(w.answers),
            due={CHANNEL: [self.port(log) for log in w.due]}, forward=lambda _: self.port(w.commands),
            schedules=None if w.schedules is None else self.port(w.schedules),
        )  # fmt: skip
        return w.parts.owner(
            partition=0, name=self.name, seat=seat, mirror=self.disk, clock=SimClock(w), lease=self.lease,
            policy=w.policy, home=lambda _: 0, place=lambda _, key: sum(key.encode()) % len(w.due), watch=Watch(w),
            in_flight_max=w.random.choice(w.scenario.in_flight), announce=lambda _: self.spawn(self.owner.emit()),
            flows=w.flows,
            schedules=None if w.schedules is None else self.disk.schedules,
        )  # fmt: skip

    def lease(self) -> bool:
        """A zombie knows that it is one, where leases are sound; else the guards that stay carry the promises."""
        return not (self.zombie and self.world.scenario.lease and self.world.parts.has_lease())

    async def run(self) -> None:
        try:
            await self.owner.run()
        except LostClaimError:
            self.world.note(f"{self.name} sees a newer claim, lets go")
            self.world.let_go(self)

    def deliver(self, name: str, log: SimLog) -> None:
        record = log.records[self.positions[name]]
        self.positions[name] += 1
        if record is not None:
            feed = self.owner.feed_commands if name == "commands" else self.owner.feed_acks
            feed(record, lambda: self.world.commit(self, name, record.offset + 1))


class PostChannel:
    """The channel of the simulation: a request is one more thing under way."""

    name = CHANNEL
    honours_key = True
    delays_ms = (300, 700, 1500)
    timeout_ms = 60_000_000
    concurrency = 64

    def __init__(self, process: Process) -> None:
        self.process = process

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def send(self, message: DueMessage) -> Outcome:
        return await self.process.ask("request", None, message)


class Courier(Process):
    """One courier process with every due partition. `disks` outlive it."""

    def __init__(self, world: Any, name: str, disks: dict[int, SimMemory]) -> None:
        super().__init__(world, name)
        self.disks = disks
        self.positions = world.due_offsets()
        self.loop_now = world.loop
        self.spawn(self.begin())
        self.parts: dict[str, CourierPartition] = {}

    def streams(self) -> list[tuple[str, SimLog]]:
        return [(log.name, log) for log in self.world.due] if self.parts else []

    async def begin(self) -> None:
        clock = SimClock(self.world)
        self.pool = SendPool(PostChannel(self), clock, self.broken, flows=self.world.flows)
        self.acks = AckWriter(self.port(self.world.acks), self.broken)
        self.unrecorded = [Unrecorded() for _ in self.world.due]
        for n, log in enumerate(self.world.due):
            self.parts[log.name] = self.made(n, self.positions[log.name])
            self.parts[log.name].start()

    def made(self, n: int, since: int) -> CourierPartition:
        return self.world.parts.courier(
            partition=n, courier=self.name, pool=self.pool, due=self.port(self.world.due[n]), outcomes=self.port(self.world.outcomes[n]),
            dead_letters=self.port(self.world.dead), memory=self.disks.setdefault(n, SimMemory()), acks=lambda _: self.acks,
            clock=self.pool.clock, lease=self.lease, on_broken=self.broken, flows=self.world.flows, partitions=len(self.world.due),
            since=since, unrecorded=self.unrecorded[n],
        )  # fmt: skip

    def to_mend(self) -> list[int]:
        return [n for n, log in enumerate(self.world.due) if (p := self.parts.get(log.name)) and p.ended == "broken"]

    def mend(self, n: int) -> None:
        """As topology.couriers does."""
        log = self.world.due[n]
        former = self.parts[log.name]
        self.world.note(f"{self.name} claims {log.name} again")
        self.parts[log.name] = self.made(n, former.done_before())
        self.parts[log.name].inherit(former)
        self.parts[log.name].start()

    def broken(self, error: Exception) -> None:
        assert isinstance(error, LogBrokenError), f"{self.name} broke: {error!r}"

    def lease(self) -> bool:
        return not (self.zombie and self.world.parts.has_courier_lease())

    def deliver(self, name: str, log: SimLog) -> None:
        record = log.records[self.positions[name]]
        self.positions[name] += 1
        if record is not None:
            self.parts[name].feed(record.offset, record.value, lambda: self.world.commit(self, name, record.offset + 1))

    def die(self, *, with_ops: bool) -> None:
        super().die(with_ops=with_ops)
        for part in self.parts.values():
            part.abandon()
        if self.parts:
            self.acks.abandon()
            self.world.loop.create_task(self.pool.stop())
