"""Schedules through zombies, crashes, compaction and replays: each occurrence once, each command answered once."""

import pytest
from schedule_world import failure
from sim_world import Scenario

from agents.owner import PartitionOwner
from agents.round import Round
from schemas.schedule_draft import Draft

SEEDS = 30
LOOKED_AT_MOST = 200


def world(seed: int) -> Scenario:
    return Scenario(messages=3, lease=bool(seed % 3))


def test_every_promise_holds_of_schedules():
    for seed in range(SEEDS):
        found = failure(seed, world(seed))
        assert found is None, f"seed {seed}: {found[0]}\n" + "\n".join(found[1][-40:])


async def cursor_first(self: PartitionOwner, made: Round) -> None:
    """In place of `write`: the schedules' rows before their occurrences."""
    if made.cursors and self.keeper is not None:
        await self.keeper.write(made.cursors)
        made.cursors = []
    if made.schedules and self.keeper is not None:
        await self.keeper.write(made.schedules)
        made.schedules = []
    await rows_written(self, made)


rows_written = PartitionOwner.write
GUARDS = {
    "occurrences come first, then the cursor": (PartitionOwner, "write", cursor_first),
    "commands of one record have births of their own": (Draft, "change", lambda self, _: self.row.changed),
}


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_of_schedules_taken_out_breaks_a_promise(name, monkeypatch):
    owner, attribute, without = GUARDS[name]
    monkeypatch.setattr(owner, attribute, without)
    assert any(failure(seed, world(seed)) for seed in range(LOOKED_AT_MOST)), "no seed shows what it is good for"
