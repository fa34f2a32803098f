"""What stands still: told, committed past, and in the end the process ends; what only waits for others does not end it."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from topology import watchdog
from topology.watchdog import ALERT_AFTER, COMMIT_AFTER, EXIT_AFTER, Standing, StandsStillError, Watchdog
from topology.watches import StandingMetrics


class World:
    """One partition: `done` of `end` finished, `committed` as Faust believes."""

    def __init__(self, *, restart_helps=True, commits=True):
        self.done, self.end, self.committed = 10, 10, 10
        self.commits, self.moved, self.ended = commits, [], []
        self.metrics = StandingMetrics(CollectorRegistry(), lambda: True, 4)
        self.dog = Watchdog(
            self.standings, lambda *_: self.committed, self.commit, self.ended.append, restart_helps=restart_helps,
            metrics=self.metrics,
        )  # fmt: skip

    async def standings(self):
        return [Standing("due.x", 3, self.done, self.end)]

    async def commit(self, topic, partition, offset):
        self.moved.append((topic, partition, offset))
        if self.commits:
            self.committed = offset

    async def look(self, times):
        for _ in range(times):
            await self.dog.look()


async def test_where_all_is_finished_and_committed_nothing_is_done():
    world = World()
    await world.look(2 * EXIT_AFTER)
    assert (world.moved, world.ended) == ([], [])


async def test_a_commit_that_stands_still_is_moved_to_what_is_finished():
    world = World()
    world.done = world.end = 20
    await world.look(COMMIT_AFTER)
    assert world.moved == []
    await world.look(EXIT_AFTER)
    assert (world.moved, world.ended) == ([("due.x", 3, 20)], [])


async def test_a_commit_that_moves_is_left_alone_however_far_it_is_behind():
    world = World()
    world.done = world.end = 1_000
    for n in range(2 * EXIT_AFTER):
        world.committed = 10 + n
        await world.look(1)
    assert (world.moved, world.ended) == ([], [])


async def test_one_that_cannot_be_moved_ends_the_process():
    world = World(commits=False)
    world.done = world.end = 20
    await world.look(EXIT_AFTER + 1)
    assert "offset 10 is committed and cannot be moved to 20" in str(world.ended[0])


async def test_one_that_never_comes_back_is_told_and_ends_the_process_too(monkeypatch):
    monkeypatch.setattr(watchdog, "COMMIT_WITHIN_S", 0.001)
    world = World()

    async def never(*_):
        await asyncio.Event().wait()

    world.dog._commit = never
    world.done = world.end = 20
    await world.look(ALERT_AFTER + 1)
    assert world.metrics.still == {"due.x": 1}
    await world.look(EXIT_AFTER - ALERT_AFTER)
    assert "offset 10 is committed and cannot be moved to 20" in str(world.ended[0])


@pytest.mark.parametrize("helps", [True, False])
async def test_work_that_stands_still_is_told_and_ends_the_process_only_where_that_helps(helps, capsys):
    world = World(restart_helps=helps)
    world.end = 20
    await world.look(ALERT_AFTER)
    assert "work_stands_still" not in capsys.readouterr().out
    await world.look(1)
    assert "work_stands_still" in capsys.readouterr().out
    await world.look(EXIT_AFTER)
    assert [type(error) for error in world.ended] == [StandsStillError] * helps


async def test_slow_work_is_no_fault():
    world = World()
    world.end = 1_000
    for n in range(2 * EXIT_AFTER):
        world.done = world.committed = 10 + n // (ALERT_AFTER - 1)
        await world.look(1)
    assert world.ended == []


async def test_how_far_behind_it_is_and_that_it_stands_still_can_be_measured():
    world = World(restart_helps=False)
    world.end = 25
    await world.look(1)
    assert (world.metrics.lags, world.metrics.still) == ({"due.x": 15}, {"due.x": 0})
    await world.look(ALERT_AFTER)
    assert world.metrics.still == {"due.x": 1}


async def test_what_another_holds_up_is_only_measured():
    """The archive is away: its reader is behind, and nothing here would mend it."""
    metrics, ended = StandingMetrics(CollectorRegistry(), None, 4), []

    async def standings():
        return [Standing("events", 0, 10, 25_000, elsewhere=True)]

    async def commit(*_):
        raise AssertionError

    dog = Watchdog(standings, lambda *_: 10, commit, ended.append, restart_helps=True, metrics=metrics)
    for _ in range(2 * EXIT_AFTER):
        await dog.look()
    assert (metrics.lags, metrics.still, ended) == ({"events": 24_990}, {"events": 0}, [])
