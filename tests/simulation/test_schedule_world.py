"""Schedules through zombies, crashes, compaction and replays: each occurrence once, each command answered once."""

from collections.abc import Callable
from dataclasses import replace as replaced
from typing import Any, NamedTuple

import pytest
from missing_world import failure_of_missing
from msgspec.structs import replace
from schedule_world import failure
from sim_world import Scenario

from agents.decider import Decider
from agents.round import Round
from agents.schedule_recovery import ScheduleLoader
from schemas import decide, decide_schedule
from schemas.decisions import NOTHING
from schemas.events import Event
from schemas.schedule_draft import Draft, ScheduleSeen
from schemas.schedule_rows import ScheduleRow

SEEDS = 30
LOOKED_AT_MOST = 200
CALM = Scenario(courier_crashes=0, courier_moves=0, refusals=0, lost_responses=0, stream_faults=0, command_repeats=0)
ZOMBIES = replaced(CALM, messages=3, lease=False, moves=5, crashes=5, haste=4, zombie_weight=4)
CRASHES = replaced(CALM, messages=2, moves=1, crashes=5, haste=3, steps=400, command_repeats=3, emit_agains=0)


def world(seed: int) -> Scenario:
    return Scenario(messages=3, lease=bool(seed % 3))


def test_every_promise_holds_of_schedules():
    for seed in range(SEEDS):
        found = failure(seed, world(seed))
        assert found is None, f"seed {seed}: {found[0]}\n" + "\n".join(found[1][-40:])


def test_every_run_that_does_not_come_is_told_of_wherever_an_owner_dies():
    for seed in range(SEEDS):
        found = failure_of_missing(seed, CRASHES)
        assert found is None, f"seed {seed}: {found}"


async def cursor_first(self: Decider, made: Round) -> None:
    """In place of `write`: the schedules' rows before their occurrences."""
    if made.cursors and self.keeper is not None:
        await self.keeper.write(made.cursors)
        made.cursors = []
    if made.schedules and self.keeper is not None:
        await self.keeper.write(made.schedules)
        made.schedules = []
    await rows_written(self, made)


rows_written = Decider.write


def forgets_what_it_found_missed(row: ScheduleRow, seen: ScheduleSeen) -> tuple[Event, ...]:
    """In place of `_told_again`."""
    return events_told_again(replace(row, missed=()), seen)


events_told_again = decide_schedule._told_again


class Guard(NamedTuple):
    """What to put in its place, the world that shows what it is good for, and the first seed that does."""

    where: Any
    what: str
    instead: Any
    broken: Callable[[int], object]
    seed: int


def zombies(seed: int) -> object:
    return failure(seed, ZOMBIES)


def any_world(seed: int) -> object:
    return failure(seed, world(seed))


def missing(seed: int) -> object:
    return failure_of_missing(seed, CRASHES)


GUARDS = {
    "occurrences come first, then the cursor": Guard(Decider, "write", cursor_first, any_world, 0),
    "commands of one record have births of their own": Guard(
        Draft, "change", lambda self, _: self.row.changed, any_world, 0
    ),
    "rows of older epochs are void": Guard(ScheduleLoader, "is_void", lambda *_: False, zombies, 99),
    "what a command found missed is told when it is repeated": Guard(
        decide_schedule, "_told_again", forgets_what_it_found_missed, missing, 50
    ),
    "what an owner changed by itself is told again by the next": Guard(
        decide, "said_again", lambda _: NOTHING, missing, 119
    ),
}


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_of_schedules_taken_out_breaks_a_promise(name, monkeypatch):
    guard = GUARDS[name]
    monkeypatch.setattr(guard.where, guard.what, guard.instead)
    seeds = (guard.seed, *range(LOOKED_AT_MOST))
    assert any(guard.broken(seed) for seed in seeds), "no seed shows what it is good for"


@pytest.mark.parametrize("name", GUARDS)
def test_the_same_world_of_schedules_holds_with_its_guard(name):
    guard = GUARDS[name]
    assert guard.broken(guard.seed) is None
