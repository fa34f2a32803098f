"""The guards of DESIGN section 5, each with how to take it out and the world that shows what it is good for."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from msgspec import structs
from sim_parts import Parts
from sim_world import EVERYTHING, Scenario, World

from agents import decider as decider_module
from agents import owner as owner_module
from agents import recovery
from agents.ack_writer import AckWriter
from agents.claimed_log import ClaimedLog
from agents.courier import CourierPartition
from agents.emissions import Emissions
from agents.spout import Spout
from agents.unrecorded import Unrecorded
from schemas import decide as decide_module
from schemas import decide_ack, decide_create, decide_dead, decide_edit
from schemas.decisions import Mark
from schemas.lifecycle import LIVE
from schemas.outcomes import Delivered, outcome_key

Swap = tuple[Any, str, Any]
CALM = Scenario(refusals=0, lost_responses=0, courier_crashes=0, courier_moves=0, stream_faults=0, command_repeats=0)
NO_LEASE = replace(CALM, lease=False, moves=3)
CANCELS = replace(NO_LEASE, messages=2, kinds=("cancel",), follow_ups=(1, 2), first_due_ms=1500, spread_ms=100, targets_max=1,
    due_partitions=1, jumps_ms=(1, 20, 100), to_timer=0.05, haste=10, crashes=0, moves=1, emit_agains=0, steps=300,
    directed="move")  # fmt: skip
RETRIES = Scenario(refusals=8, crashes=0, moves=0)
MID_SEND = replace(CANCELS, lease=True, moves=0, refusals=8, first_due_ms=100, jumps_ms=(1, 20), follow_ups=(1, 2, 3), messages=3,
    in_flight=(5_000,), steps=600)  # fmt: skip
HANDS = replace(EVERYTHING, moves=0, lost_responses=0, courier_moves=0)
COURIERS = Scenario(crashes=0, moves=0, courier_crashes=4, courier_moves=2, lost_responses=0)


@dataclass(frozen=True)
class Guard:
    """`without`: what to put in its place; `needs`: guards that cover for it and are taken out with it."""

    sentence: str
    without: Callable[[], list[Swap]]
    world: Scenario
    needs: tuple[str, ...] = ()
    beside: Callable[[], list[Swap]] = list
    """What covers for it and is no guard by itself: taken out with it, and by itself breaks nothing."""


def constant(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def no_lease() -> list[Swap]:
    return [(Parts, "has_lease", constant(False))]


def no_courier_lease() -> list[Swap]:
    return [(Parts, "has_courier_lease", constant(False))]


def forgets_epochs() -> list[Swap]:
    """Epochs that were passed before this assignment are not known."""
    recover = CourierPartition.recover

    async def forgetful(self: CourierPartition) -> None:
        await recover(self)
        self.memory.epochs.clear()

    return [(CourierPartition, "recover", forgetful)]


def horizon_of_assignment() -> list[Swap]:
    take_over = recovery.take_over

    async def early(seat: Any, partition: int, owner: str, mirror: Any, clock: Any, *others: Any) -> Any:
        began = clock.now_ms()
        taken = await take_over(seat, partition, owner, mirror, clock, *others)
        return recovery.Taken(taken.epoch, began, taken.timetable)

    return [(owner_module, "take_over", early)]


def tells_before_it_writes() -> list[Swap]:
    write = decider_module.Decider.write

    async def hasty(self: Any, made: Any) -> None:
        await made.tell(self.seat)
        await write(self, made)

    return [(decider_module.Decider, "write", hasty)]


def loads_before_it_claims() -> list[Swap]:
    async def hasty(seat: Any, partition: int, owner: str, mirror: Any, clock: Any, *others: Any) -> Any:
        loader = recovery.Loader(mirror)
        end = await seat.timetable.end()
        async for records in seat.timetable.read(mirror.applied, end):
            loader.feed(records)
        timetable = ClaimedLog(seat.timetable, recovery.is_claim)
        claim = recovery.Claim(owner=owner, at=recovery.at(clock.now_ms()))
        epoch = await timetable.claim(recovery.Record(b"!claim", recovery.encode(claim)))
        await recovery.fence(seat.due, partition, epoch)
        mirror.epoch = epoch
        mirror.apply((), epoch + 1)
        return recovery.Taken(epoch, clock.now_ms() + 1000, timetable)

    return [(owner_module, "take_over", hasty)]


def never_repairs() -> list[Swap]:
    async def nothing(*_: Any) -> None:
        pass

    return [
        (recovery, "repair", nothing),
        (ClaimedLog, "take_void", constant([])),
        (World, "may_compact", constant(True)),
    ]


def no_watermark() -> list[Swap]:
    run = owner_module.PartitionOwner.run

    async def from_the_start(self: Any) -> None:
        start = self.commands.start
        self.commands.start = lambda _: start(0)
        await run(self)

    return [(owner_module.PartitionOwner, "run", from_the_start)]


def marks_late() -> list[Swap]:
    landed, add = Spout.has_landed, Emissions.add

    def has_landed(self: Spout, batch: list[Any]) -> None:
        for a in batch:
            add(self.emissions, (a.id, a.target), a.channel, a, self.clock.now_ms())
        landed(self, batch)

    return [(Emissions, "add", constant(None)), (Spout, "has_landed", has_landed)]


def answers_while_producing() -> list[Swap]:
    def must_wait(seen: Any) -> bool:
        row = seen.row
        return row is not None and any(d.state in LIVE and seen.mark(d.target) is Mark.PERHAPS for d in row.deliveries)

    return [(decide_module, "must_wait", must_wait)]


def edits_a_part() -> list[Swap]:
    fault = decide_edit.edit_fault

    def lenient(seen: Any, row: Any, command: Any) -> str:
        free = any(d.state in LIVE and seen.mark(d.target) is Mark.FREE for d in row.deliveries)
        return "" if free and not any(d.maybe_sent for d in row.deliveries) else fault(seen, row, command)

    return [(decide_edit, "edit_fault", lenient)]


def remembers_sends_only() -> list[Swap]:
    recorded = CourierPartition.recorded

    def sends(self: CourierPartition, keys: Any) -> Any:
        return [k if k is not None and isinstance(k.result, Delivered) else None for k in recorded(self, keys)]

    return [(CourierPartition, "recorded", sends)]


def drops_repeats() -> list[Swap]:
    def drop(self: CourierPartition, offset: int, *_: Any) -> None:
        self.in_hand.finish({offset: 1})

    return [(CourierPartition, "ack_again", drop)]


def commits_before_acks() -> list[Swap]:
    add = AckWriter.add

    def hasty(self: AckWriter, acks: list[bytes], then: Callable[[], None]) -> None:
        then()
        add(self, acks, lambda: None)

    return [(AckWriter, "add", hasty)]


def no_courier_claim() -> list[Swap]:
    expected = ClaimedLog.landed_as_expected

    def landed(self: ClaimedLog, offset: int) -> bool:
        return self.log.log.name.startswith("outcomes") or expected(self, offset)

    return [(CourierPartition, "is_void_outcome", constant(False)), (ClaimedLog, "landed_as_expected", landed)]


def acks_as_zombie() -> list[Swap]:
    return [(CourierPartition, "may_ack", lambda self: self.state != "gone")]


def same_turn_by_hand() -> list[Swap]:
    acted = decide_dead._next_turn

    def in_place(seen: Any, d: Any, move: Any, reason: str) -> Any:
        return structs.replace(acted(seen, d, move, reason), turn=d.turn)

    return [(decide_dead, "_next_turn", in_place)]


def announces_once() -> list[Swap]:
    decide = decider_module.decide

    def hasty(*given: Any) -> Any:
        found = decide(*given)
        return found if getattr(found, "writes", True) else structs.replace(found, announce=())

    return [(decider_module, "decide", hasty)]


GUARDS: dict[str, Guard] = {
    "maybe_emitted": Guard(
        "a new owner answers no edit or cancel of what a former one may have emitted, until it knows",
        lambda: [(Emissions, "perhaps", constant(False))],
        replace(CALM, messages=5, crashes=5, kinds=("cancel",), follow_ups=(1, 2), spread_ms=0, in_flight=(1, 5_000),
            to_timer=0.2, haste=3, emit_agains=0),
    ),
    "fence": Guard("couriers void due messages of older epochs after a fence",
        lambda: [(CourierPartition, "is_void", constant(False))], CANCELS, ("lease",)),
    "lease": Guard("a zombie starts nothing", no_lease, CANCELS, ("fence",)),
    "fence_memory": Guard("a courier keeps the highest epoch it has passed, over a restart too", forgets_epochs,
        replace(CANCELS, courier_crashes=4, steps=500), ("lease",)),
    "horizon": Guard("`may have been emitted` means due when the fences had landed, not at the assignment",
        horizon_of_assignment, replace(CANCELS, messages=5, in_flight=(1, 5_000), spread_ms=0, not_before_ms=1_460,
            jumps_ms=(1, 20, 60), haste=200, time_weight=4, zombie_weight=8), ("lease",)),
    "continuity": Guard("a row counts only where it lands at the expected offset",
        lambda: [(ClaimedLog, "landed_as_expected", constant(True))], NO_LEASE, ("lease",)),
    "row_then_event": Guard("events and answers follow the durable row", tells_before_it_writes, replace(CALM, crashes=4)),
    "claim_first": Guard("claim, then load up to the own claim", loads_before_it_claims, NO_LEASE, ("lease",)),
    "repair": Guard("the valid row is written over a void one before compaction chooses", never_repairs,
        replace(NO_LEASE, compactions=6, crashes=3), ("lease",)),
    "watermark": Guard("commands below the watermark are decided no second time", no_watermark,
        replace(CALM, crashes=4, early=0.8)),
    "remember_answers": Guard("rows keep command ids and answers, refusals too",
        lambda: [(decide_module, "_known", constant(None))], Scenario(command_repeats=8, crashes=4)),
    "original_content": Guard("a repeated create is compared with the content as first accepted",
        lambda: [(decide_create, "first_content", lambda row: decide_create.digest(row.message))], CALM),
    "mark_first": Guard("a row is marked emitted before its produce starts", marks_late, CALM),
    "answer_after_emit": Guard("`too_late` is answered when the due record has landed", answers_while_producing, CALM),
    "edit_whole": Guard("an edit is accepted for all targets or refused", edits_a_part, replace(CALM, targets_max=3)),
    "stale_ack": Guard("an ack counts only for the turn that the row has",
        lambda: [(decide_ack, "is_stale", constant(False))],
        replace(RETRIES, emit_agains=3, courier_crashes=6, messages=2, follow_ups=(3, 5))),
    "turn": Guard("the courier drops a repeated turn, not a repeated key",
        lambda: [(CourierPartition, "key_of", lambda _, m: outcome_key(m.key, m.birth, 0))], RETRIES),
    "birth": Guard("an id used again after its tombstone is another message",
        lambda: [(CourierPartition, "key_of", lambda _, m: outcome_key(m.key, 0, m.turn))], replace(CALM, reuse=True)),
    "record_all": Guard("outcomes hold every answer of the courier", remembers_sends_only,
        replace(COURIERS, refusals=8)),
    "reack": Guard("a repeat is acked with what is recorded", drops_repeats, COURIERS),
    "ack_then_commit": Guard("a due record is committed when its acks are durable", commits_before_acks, COURIERS),
    "one_at_a_time": Guard("a repeat of a turn in flight waits for it",
        lambda: [(CourierPartition, "is_in_flight", constant(False))], replace(CALM, emit_agains=4, crashes=4)),
    "maybe_sent": Guard("a lost response is remembered: a cancel then ends unknown, an edit is refused",
        lambda: [(decide_ack, "was_perhaps_sent", constant(False))], replace(RETRIES, lost_responses=6)),
    "taken_over": Guard("what a former courier may have begun counts as perhaps sent unless delivered",
        lambda: [(CourierPartition, "was_taken_over", constant(False))],
        replace(MID_SEND, courier_crashes=1, directed="courier crash")),
    "courier_claim": Guard("outcomes after a newer courier's claim are void and are not acked", no_courier_claim,
        replace(MID_SEND, courier_moves=1, directed="courier move"), beside=acks_as_zombie),
    "hand_turn": Guard("a retry by hand is a turn of its own", same_turn_by_hand, HANDS),
    "announce_again": Guard("what tells a final event again announces it again", announces_once, replace(HANDS, crashes=6)),
    "unrecorded": Guard("what a courier could not record, the next one in the same process goes on with",
        lambda: [(Unrecorded, "keep", constant(None))],
        replace(COURIERS, courier_crashes=0, courier_moves=0, breaks=8)),
    "courier_lease": Guard("a zombie courier starts no send", no_courier_lease, replace(COURIERS, courier_moves=5)),
}  # fmt: skip


@contextmanager
def without(names: tuple[str, ...]) -> Iterator[None]:
    """The product with these guards, and those that cover for them, taken out."""
    with ExitStack() as stack:
        for name in names:
            for where, what, instead in GUARDS[name].without() + GUARDS[name].beside():
                stack.enter_context(patch.object(where, what, instead))
        yield
