"""The world of the simulation: logs, a group that moves partitions, a receiver, gateways, faults, and what must hold."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
from sim_checks import Checks
from sim_logs import Op, SimLog
from sim_loop import SimLoop
from sim_parts import Parts
from sim_processes import CHANNEL, Courier, Process, Scheduler
from sim_stores import SimMemory, SimMirror

from agents.flows import Flows
from agents.ports import Record, Stored
from schemas.commands import Cancel, Command, Create, Discard, Edit, Erase, Look, MarkSent, RetryDead, SendNow
from schemas.decisions import Policy
from schemas.flow_limits import FlowLimits
from schemas.message import Changes, Message
from schemas.outcomes import Delivered, RetryLater, outcome_key
from schemas.settings_records import Flow
from schemas.times import at
from schemas.wire import encode, read_due

HANDS = {"retry": RetryDead, "discard": Discard, "mark_sent": MarkSent, "erase": Erase}
START_MS = 1_800_000_000_000


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What a world is made of. `lease`: whether a scheduler that lost its partition notices at once."""

    messages: int = 4
    targets_max: int = 2
    due_partitions: int = 2
    crashes: int = 2
    moves: int = 2
    courier_crashes: int = 2
    courier_moves: int = 1
    refusals: int = 3
    refusal_chance: float = 0.3
    retries: tuple[int, ...] = (300, 700, 1500)
    lost_responses: int = 1
    command_repeats: int = 3
    stream_faults: int = 3
    breaks: int = 0
    """How often a courier does not hear what became of a write."""
    lost_offsets: int = 0
    """How often a courier finds that its group has committed nothing."""
    compactions: int = 2
    emit_agains: int = 1
    early: float = 0.1
    kinds: tuple[str, ...] = ("edit", "edit", "cancel", "look", "create")
    first_due_ms: int = 200
    spread_ms: int = 400
    in_flight: tuple[int, ...] = (2, 10, 5_000)
    jumps_ms: tuple[int, ...] = (1, 5, 20, 100, 400)
    to_timer: float = 0.5
    haste: float = 1.0
    not_before_ms: int = 0
    time_weight: float = 1.5
    zombie_weight: float = 1.0
    directed: str = ""
    """This fault comes between the acceptance of creates (courier's: in mid-send) and the first cancel."""
    follow_ups: tuple[int, ...] = (0, 1, 1, 2, 3)
    reuse: bool = False
    hands: int = 0
    """How often a person looks at what has ended and retries, discards, marks as sent or erases it, or says so of anything."""
    limits: int = 0
    """How often a flow gets other limits, or a pause; the last time it loses them."""
    announce: bool = False
    """Some messages ask that their end be told (`on_finished`)."""
    lease: bool = True
    steps: int = 700


LIMITS = (
    FlowLimits(paused=True),
    FlowLimits(rate=2),
    FlowLimits(rate=5, burst=2, parallelism=1),
    FlowLimits(parallelism=1),
    FlowLimits(),
)
EVERYTHING = Scenario(
    limits=3,
    breaks=3,
    lost_offsets=2,
    hands=6,
    refusals=14,
    refusal_chance=0.7,
    retries=(300,),
    announce=True,
    kinds=("edit", "edit", "cancel", "look", "create", "send_now", "retry", "erase"),
)
"""All that gateways may ask for."""


@dataclass
class World:
    seed: int
    scenario: Scenario
    parts: Parts = field(default_factory=Parts)

    calm_steps: ClassVar[int] = 6_000
    """Without faults all is quiet within so many, or never."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.loop = SimLoop()
        self.now_ms = START_MS
        self.numbers = itertools.count()
        self.trace: list[str] = []
        self.ops: list[Op] = []
        self.timetable, self.commands, self.acks = SimLog("timetable"), SimLog("commands"), SimLog("acks")
        self.events, self.dead, self.answers = SimLog("events"), SimLog("dead_letters"), SimLog("answers")
        self.windows = SimLog("windows")
        self.schedules: SimLog | None = None
        self.due = [SimLog(f"due/{n}") for n in range(self.scenario.due_partitions)]
        self.outcomes = [SimLog(f"outcomes/{n}") for n in range(self.scenario.due_partitions)]
        self.retries = self.scenario.retries
        self.policy = Policy(
            delays_ms={CHANNEL: self.retries},
            idempotency_ms=4_000 if self.scenario.reuse else 24 * 3_600_000,
            announce_by=CHANNEL,
        )
        self.committed: Counter[str] = Counter()
        self.budget = Counter(
            {
                "crash": self.scenario.crashes, "move": self.scenario.moves, "courier crash": self.scenario.courier_crashes,
                "courier move": self.scenario.courier_moves, "refuse": self.scenario.refusals,
                "lose": self.scenario.lost_responses, "repeat": self.scenario.command_repeats,
                "stream": self.scenario.stream_faults, "compact": self.scenario.compactions,
                "again": self.scenario.emit_agains, "hand": self.scenario.hands,
                "limit": self.scenario.limits, "break": self.scenario.breaks,
                "offsets": self.scenario.lost_offsets,
            }
        )  # fmt: skip
        self.flows = Flows()
        self.calm = False
        self.failures: list[BaseException] = []
        self.loop.set_exception_handler(lambda _, context: self._failed(context))
        self.checks = Checks(self)
        self.names = itertools.count(1)
        self.processes: list[Process] = []
        self.script = self.make_script()
        self.written: list[Command] = []
        self.do(self.open)

    def open(self) -> None:
        self.scheduler: Scheduler = self.new_scheduler(SimMirror())
        self.courier: Courier = self.new_courier({})

    # ---- processes

    def new_scheduler(self, disk: SimMirror) -> Scheduler:
        process = Scheduler(self, f"scheduler-{next(self.names)}", disk)
        self.processes.append(process)
        return process

    def new_courier(self, disks: dict[int, SimMemory]) -> Courier:
        process = Courier(self, f"courier-{next(self.names)}", disks)
        self.processes.append(process)
        return process

    def _failed(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None:
            self.failures.append(error)

    def let_go(self, scheduler: Scheduler) -> None:
        """An owner that lost its claim: while the group still gives it the partition, it claims again."""
        if scheduler is self.scheduler and scheduler.alive:
            scheduler.die(with_ops=False)
            self.scheduler = self.new_scheduler(scheduler.disk)

    def let_go_courier(self, courier: Courier) -> None:
        if courier is self.courier and courier.alive:
            self.note(f"{courier.name} has let go while the group gives it due: it ends and is started again")
            self.checks.courier_gone(courier)
            courier.die(with_ops=False)
            self.courier = self.new_courier(courier.disks)

    # ---- what happens

    def note(self, text: str) -> None:
        self.trace.append(f"{self.now_ms - START_MS:>6} ms  {text}")

    def settle(self) -> None:
        self.loop.now = (self.now_ms - START_MS) / 1000
        self.loop.settle()
        if self.failures:
            raise self.failures[0]

    def ways(self) -> list[tuple[float, Callable[[], None]]]:
        """What may happen next, with how likely it is."""
        found: list[tuple[float, Callable[[], None]]] = []
        for op in self.landable():
            weight = 0.4 if op.process is None else self.scenario.zombie_weight if op.process.zombie else 4
            found.append((weight, lambda op=op: self.land(op)))
        for process in (p for p in self.processes if p.alive):
            for name, log in process.streams():
                if process.positions[name] < len(log.records):
                    found.append((0.1 if process.zombie else 3, lambda p=process, n=name, o=log: p.deliver(n, o)))
            if process.zombie:
                found.append((0.05, lambda p=process: self.zombie_notices(p)))
        if self.script and not self.waits_for_move():
            found.append((1.5, self.next_command))
        found.append((self.scenario.time_weight, self.time_passes))
        found += [(1.0, lambda n=n: self.courier.mend(n)) for n in self.courier.to_mend()]
        found += self.faults()
        return found

    def faults(self) -> list[tuple[float, Callable[[], None]]]:
        possible = {
            "crash": (0.05, self.crash_scheduler), "move": (0.05, self.move_scheduler),
            "courier crash": (0.05, self.crash_courier), "courier move": (0.05, self.move_courier),
            "repeat": (0.1, self.repeat_command), "stream": (0.1, self.stream_fault),
            "compact": (0.1, self.compact), "again": (0.02, self.long_silence), "hand": (0.3, self.act_by_hand),
            "limit": (0.2, self.set_limits), "break": (0.3, self.break_write),
        }  # fmt: skip
        if self.scenario.directed and not self.is_moment():
            del possible[self.scenario.directed]
        haste = self.scenario.haste
        return [(w * haste, act) for name, (w, act) in possible.items() if self.budget[name] > 0]

    def step(self) -> None:
        ways = self.ways()
        (_, act) = self.random.choices(ways, [w for w, _ in ways])[0]
        self.do(act)
        if any(part.state == "gone" and part.ended != "broken" for part in self.courier.parts.values()):
            self.do(lambda: self.let_go_courier(self.courier))
        self.checks.look()

    def do(self, act: Callable[[], None]) -> None:
        """Let it happen, in the loop, and everything that follows at once."""
        self.loop.call_soon(self.caught, act)
        self.settle()

    def caught(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - raised by settle
            self.failures.append(error)

    def landable(self) -> list[Op]:
        """Appends of one process to one log land in order; all else in any."""
        seen: set[tuple[Any, Any]] = set()
        found = []
        for op in self.ops:
            if op.kind == "append":
                lane = (op.process, id(op.target))
                if lane in seen:
                    continue
                seen.add(lane)
            found.append(op)
        return found

    def land(self, op: Op) -> None:
        self.ops.remove(op)
        late = "" if op.process else " (its sender is gone)"
        if op.kind == "append":
            offset = len(op.target.records)
            for record in op.what:
                op.target.add(record, self.now_ms)
            self.note(f"{op.target.name}[{offset}..] {' '.join(brief(r) for r in op.what)}{late}")
            op.answer(offset)
        elif op.kind == "end":
            op.answer(len(op.target.records))
        elif op.kind == "read":
            start, end = op.what
            op.answer([r or Stored(n + start, None, None, 0) for n, r in enumerate(op.target.records[start:end])][:7])
        else:
            self.receive(op)

    def receive(self, op: Op) -> None:
        """A request reaches the receiver: it takes it, refuses it, or takes it and its response is lost."""
        message = op.what
        name = outcome_key(message.key, message.birth, message.turn)
        self.checks.requests[message.key, message.birth] += 1
        refuse = op.process is not None and self.spend("refuse", self.scenario.refusal_chance)
        if refuse:
            self.note(f"the receiver refuses {name}")
            op.answer(RetryLater(reason="503"))
            return
        self.checks.taken(op)
        if op.process is not None and self.spend("lose", 0.2):
            self.note(f"the receiver takes {name} rev {message.revision}, its response is lost")
            self.checks.allow[message.key, message.birth] += 1
            op.answer(RetryLater(reason="timeout", maybe_sent=True))
        else:
            self.note(f"the receiver takes {name} rev {message.revision}{'' if op.process else ' (late)'}")
            op.answer(Delivered())

    def spend(self, name: str, chance: float) -> bool:
        if self.budget[name] > 0 and self.random.random() < chance:
            self.budget[name] -= 1
            return True
        return False

    def time_passes(self) -> None:
        timer = self.loop.next_timer()
        jump = self.random.choice(self.scenario.jumps_ms)
        if timer is not None and self.random.random() < self.scenario.to_timer:
            jump = max(1, min(2_000, int(timer * 1000) + START_MS - self.now_ms + 1))
        self.now_ms += jump

    # ---- faults

    def set_limits(self) -> None:
        self.budget["limit"] -= 1
        for account in ("a0", "a1"):
            limits = self.random.choice(LIMITS) if self.budget["limit"] else FlowLimits()
            self.flows.put(account, Flow(key=account, limits=limits, set_at=at(self.now_ms)))
            self.note(f"{account} is held to {limits}")

    def crash_scheduler(self) -> None:
        self.budget["crash"] -= 1
        old = self.scheduler
        cold = self.random.random() < 0.3
        self.note(f"{old.name} dies{', its disk too' if cold else ''}")
        old.die(with_ops=self.random.random() < 0.5)
        self.scheduler = self.new_scheduler(SimMirror() if cold else old.disk)

    def move_scheduler(self) -> None:
        self.budget["move"] -= 1
        old = self.scheduler
        old.zombie = True
        self.scheduler = self.new_scheduler(SimMirror())
        self.note(f"the group gives the partition to {self.scheduler.name}; {old.name} does not know")

    def crash_courier(self) -> None:
        self.budget["courier crash"] -= 1
        old = self.courier
        self.checks.courier_gone(old)
        self.note(f"{old.name} dies")
        old.die(with_ops=self.random.random() < 0.5)
        self.courier = self.new_courier({} if self.random.random() < 0.3 else old.disks)

    def move_courier(self) -> None:
        self.budget["courier move"] -= 1
        old = self.courier
        self.checks.courier_gone(old)
        old.zombie = True
        self.courier = self.new_courier({})
        self.note(f"the group gives due to {self.courier.name}; {old.name} does not know")

    def break_write(self) -> None:
        """A courier's write lands or does not, and it is not told which."""
        writes = [o for o in self.ops if o.kind == "append" and o.process is self.courier]
        if not writes:
            return
        self.budget["break"] -= 1
        op = self.random.choice(writes)
        self.note(f"{self.courier.name} does not hear of its write to {op.target.name}")
        op.fail()
        if self.random.random() < 0.5:
            self.ops.remove(op)
        else:
            self.land(op)

    def zombie_notices(self, process: Process) -> None:
        self.note(f"{process.name} notices, lets go")
        process.die(with_ops=False)

    def stream_fault(self) -> None:
        """The stream before the scheduler's sources skips, or begins again anywhere."""
        self.budget["stream"] -= 1
        name = self.random.choice(("commands", "acks"))
        log = self.commands if name == "commands" else self.acks
        self.scheduler.positions[name] = self.random.randint(0, len(log.records))
        self.note(f"the stream of {name} goes on from {self.scheduler.positions[name]}")

    def compact(self) -> None:
        """Compaction keeps the newest record of each key."""
        if not self.may_compact():
            return
        self.budget["compact"] -= 1
        newest = {r.key: r.offset for r in self.timetable.records if r}
        for n, r in enumerate(self.timetable.records):
            if r and newest[r.key] != n:
                self.timetable.records[n] = None
        self.note("timetable is compacted")

    def may_compact(self) -> bool:
        """It leaves records alone for longer than a take-over: the owner runs and has written over what is void."""
        owner = self.scheduler.owner
        taken = owner.decider.taken
        if taken is None or not owner.ready or taken.timetable.next != len(self.timetable.records) or owner.spout.held:
            return False
        return not taken.timetable._voids and not any(
            o.target is self.timetable and o.kind == "append" for o in self.ops
        )

    def long_silence(self) -> None:
        self.budget["again"] -= 1
        self.now_ms += 15 * 60_000 + 1
        self.note("15 minutes go by")

    # ---- gateways

    def make_script(self) -> list[Command]:
        """Commands in the order in which gateways write them."""
        r, script = self.random, []
        for n in range(self.scenario.messages):
            targets = r.choice((1, 1, self.scenario.targets_max))
            story: list[Command] = [self.create(n, targets, f"c{n}")]
            for k in range(r.choice(self.scenario.follow_ups)):
                kind = r.choice(self.scenario.kinds)
                story.append(self.follow_up(kind, n, targets, k))
            if r.random() < self.scenario.early:
                story.insert(0, Cancel(command_id=f"x{n}early", id=f"m{n}", reply_to=0))
            script.append(story)
        if self.scenario.reuse:
            script = [
                [self.create(n, 1, f"c{n}"), self.create(n, 1, f"again{n}")] for n in range(self.scenario.messages)
            ]
        merged: list[Command] = []
        if self.scenario.directed:
            return [c for n in range(5) for story in script for c in story[n : n + 1]]
        while any(script):
            merged.append(r.choice([s for s in script if s]).pop(0))
        return merged

    def create(self, n: int, targets: int, command_id: str) -> Create:
        due = at(START_MS + self.scenario.first_due_ms + self.scenario.spread_ms * n)
        aims: dict[str, Any] = {"channel": CHANNEL, "to": "a"}
        if targets > 1:
            aims = {"targets": tuple({"channel": CHANNEL, "to": str(t)} for t in range(targets))}
        if self.scenario.announce and n % 2 == 0:
            aims |= {"on_finished": {"url": "http://told"}, "metadata": {"n": n}}
        message = msgspec.convert({"id": f"m{n}", "due_at": due, "account": f"a{n % 2}", **aims}, Message)
        return Create(command_id=command_id, message=message, reply_to=0, allow_past=True)

    def follow_up(self, kind: str, n: int, targets: int, k: int) -> Command:
        if kind == "edit":
            later = at(START_MS + self.random.choice((200, 800, 2_500)) + 400 * n)
            return Edit(command_id=f"e{n}.{k}", id=f"m{n}", changes=Changes(due_at=later), reply_to=0)
        if kind == "cancel":
            return Cancel(command_id=f"x{n}.{k}", id=f"m{n}", reply_to=0)
        if kind == "send_now":
            return SendNow(command_id=f"e{n}.{k}now", id=f"m{n}", reply_to=0)
        if kind in HANDS:
            return self.by_hand(HANDS[kind], f"m{n}", f"h{n}.{k}")
        if kind == "look":
            return Look(command_id=f"l{n}.{k}", id=f"m{n}", reply_to=0)
        return self.create(n, targets, f"c{n}.{k}")

    def by_hand(self, kind: Any, message_id: str, name: str) -> Command:
        given: dict[str, Any] = {"command_id": f"{name}{kind.__name__}", "id": message_id, "reply_to": 0}
        return kind(**given) if kind is Erase else kind(**given, target=self.random.choice((None, None, 0, 1)))

    def act_by_hand(self) -> None:
        """A person has a list of what has ended, as events tell it."""
        dead = sorted({place[0] for place, kind in self.checks.ends.items() if kind in ("dead", "unknown")})
        over = sorted({place[0] for place in self.checks.ends})
        if dead and self.random.random() < 0.9:
            kind, among = self.random.choice((RetryDead, RetryDead, RetryDead, Discard, MarkSent)), dead
        elif over and self.random.random() < 0.2:
            kind, among = Erase, over
        else:
            return
        self.budget["hand"] -= 1
        self.write([self.by_hand(kind, self.random.choice(among), f"p{self.budget['hand']}.")])

    def is_moment(self) -> bool:
        if self.scenario.directed.startswith("courier"):
            return any(o.kind == "request" and o.process is self.courier for o in self.ops)
        if self.now_ms < START_MS + self.scenario.not_before_ms:
            return False
        created = not self.script or isinstance(self.script[0], Cancel)
        return created and all(c.command_id in self.checks.answers for c in self.written)

    def waits_for_move(self) -> bool:
        fault = self.scenario.directed
        return bool(fault) and isinstance(self.script[0], Cancel) and self.budget[fault] > 0

    def next_command(self) -> None:
        take = 1 if self.scenario.directed else self.random.choice((1, 1, 2, 3))
        batch, self.script = self.script[:take], self.script[take:]
        if any(c.command_id.startswith("again") and c.id not in self.checks.forgotten() for c in batch):
            self.script = batch + self.script
            return
        self.write(batch)

    def write(self, batch: list[Command]) -> None:
        self.written += batch
        offset = self.commands.add(Record(None, b"[" + b",".join(map(encode, batch)) + b"]"), self.now_ms)
        self.note(f"commands[{offset}] {' '.join(f'{c.command_id}({c.id})' for c in batch)}")

    def repeat_command(self) -> None:
        waiting = [
            c for c in self.written if c.command_id not in self.checks.answers and not c.command_id.endswith("early")
        ]
        if waiting:
            self.budget["repeat"] -= 1
            self.write([self.random.choice(waiting)])

    def commit(self, process: Process, name: str, offset: int) -> None:
        """Only what the group knows as its member may commit."""
        if process is self.scheduler or process is self.courier:
            self.committed[name] = max(self.committed[name], offset)

    def due_offsets(self) -> dict[str, int]:
        """Where a courier begins, as its group has it."""
        if self.budget["offsets"] > 0 and self.random.random() < 0.5:
            self.budget["offsets"] -= 1
            self.committed -= Counter({log.name: self.committed[log.name] for log in self.due})
            self.note("the group's offsets are lost")
        return {log.name: self.committed[log.name] for log in self.due}

    # ---- a whole run

    def run(self) -> None:
        """Steps with faults, then without until all is quiet, then what must hold at the end."""
        for _ in range(self.scenario.steps):
            self.step()
        self.budget.clear()
        self.calm = True
        for process in [p for p in self.processes if p.alive and p.zombie]:
            self.do(lambda p=process: self.zombie_notices(p))
        for _ in range(self.calm_steps):
            if self.quiet():
                break
            self.step()
        self.checks.look()
        self.checks.end()

    def quiet(self) -> bool:
        if self.script or [o for o in self.ops if o.kind != "end" and o.target is not self.timetable]:
            return False
        behind = any(p.positions[n] < len(o.records) for p in self.processes if p.alive for n, o in p.streams())
        return not behind and self.checks.all_over()

    def close(self) -> None:
        """Let nothing run on, whatever has gone wrong."""
        try:
            for process in [p for p in self.processes if p.alive]:
                self.loop.call_soon(self.caught, lambda p=process: p.die(with_ops=True))
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.settle()
        finally:
            self.loop.close()


def brief(record: Record) -> str:
    """A record in a few characters."""
    key = (record.key or b"").decode()
    if record.value and record.value[:8] == b'[{"kind"' and b'"fence"' in record.value[:20]:
        return "fence"
    if record.value and key.startswith("p") and record.value.startswith(b"["):
        return " ".join(f"{d.key}!{d.turn}" for d in read_due(record.value) if hasattr(d, "turn"))
    return key or (record.value or b"")[:90].decode()
