"""Partitions change hands: how long that takes, who keeps a seat, what is mended in place and what is not."""

import asyncio
import os
import subprocess
import sys

from system import System, new_id, now_ms, spread, until

from schemas.commands import Create
from schemas.rows import CLAIM_KEY, Claim
from schemas.times import at
from schemas.wire import encode
from topology.embedded_kafka import EmbeddedKafka

SESSION_S = 3
PER_SECOND = 50


async def test_a_claim_that_is_lost_is_taken_again_in_the_same_process_and_commits_go_on(make_system):
    async with make_system() as system:
        pid = system.scheduler.pid
        await _delivered(system, 50)
        foreign = encode(Claim(owner="somebody else", at=at(now_ms())))
        for partition in range(2):
            await system.produce(system.names.timetable, foreign, partition=partition, key=CLAIM_KEY.encode())
        await until(lambda: len(system.scheduler.told("partition_owned")) == 4)
        await _delivered(system, 50)
        assert system.scheduler.pid == pid
        assert system.scheduler.running
        assert system.receiver.repeats() == {}
        await until(system.no_lag, 25, lambda: "the group's offset stands still")


async def test_a_broker_that_is_silent_for_longer_than_a_request_may_take_ends_no_worker(tmp_path):
    """They wait for it, or claim anew where a write was given up: in the same processes, nothing is lost or sent twice."""
    async with (
        EmbeddedKafka(tmp_path / "kafka") as kafka,
        System(kafka.bootstrap, tmp_path, request_timeout=2, session_timeout=8) as system,
    ):
        pids = system.scheduler.pid, system.courier.pid
        ids, told = [new_id() for _ in range(200)], now_ms()
        await system.insist(
            Create(command_id=new_id(), message=system.message(id_, due_ms=due))
            for id_, due in zip(ids, spread(told + 2_000, PER_SECOND, 200), strict=True)
        )
        await system.received(ids[:20])
        os.kill(kafka.pid, 19)
        silent_until = now_ms() + 12_000  # six times as long as a request may take, longer than a session
        await until(lambda: now_ms() > silent_until)
        os.kill(kafka.pid, 18)
        await until(lambda: not system.receiver.missing(ids), 60)
        await system.all_in("delivered", ids)
        assert (system.scheduler.pid, system.courier.pid) == pids
        assert system.scheduler.running
        assert system.courier.running
        assert system.receiver.repeats() == {}


async def test_after_kill_9_the_other_scheduler_sends_within_session_and_two_seconds(make_system):
    assert await _gap_s(make_system, lambda worker: worker.kill()) <= SESSION_S + 2


async def test_after_sigterm_the_other_scheduler_sends_within_three_seconds(make_system):
    assert await _gap_s(make_system, lambda worker: worker.stop()) <= 3


async def _gap_s(make_system, end) -> float:
    """The longest that a message was late after one of two schedulers went, in seconds."""
    async with make_system() as system:
        second = system.keep(system.worker("scheduler", "scheduler-2"))
        await until(lambda: second.told("partition_owned"))
        await until(lambda: system.scheduler.told("partition_owned"))
        ids, begin = [new_id() for _ in range(5 * PER_SECOND)], now_ms() + 1_500
        await system.insist(
            Create(command_id=new_id(), message=system.message(id_, due_ms=due))
            for id_, due in zip(ids, spread(begin, PER_SECOND, len(ids)), strict=True)
        )
        await system.received(ids[:30])
        over = end(system.scheduler)
        if asyncio.iscoroutine(over):
            assert await over == 0
        await system.received(ids)
        await system.all_in("delivered", ids)
        assert system.receiver.early() == []
        assert system.receiver.repeats() == {}
        late_ms = [a.at_ms - a.body["due_ms"] for a in system.receiver.arrivals]
        return max(late_ms) / 1_000


async def test_a_named_scheduler_keeps_its_seat_over_a_restart_and_gives_it_up_when_told(make_system):
    async with make_system(start=False, session_timeout=60) as system:
        first = system.keep(system.worker("scheduler", "one", CLEPSYDRA_INSTANCE="one"))
        second = system.keep(system.worker("scheduler", "two", CLEPSYDRA_INSTANCE="two"))
        system.courier.start()
        await until(lambda: first.told("partition_owned") and second.told("partition_owned"), 60)
        owned = len(second.told("partition_owned"))
        assert await first.stop() == 0
        first.start()
        await until(lambda: first.told("partition_owned"))
        assert len(second.told("partition_owned")) == owned, "a restart within the session moves nothing"
        assert await first.stop() == 0
        left = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "gateway.cli", "worker", "leave", "one"],
            env=os.environ | system.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert left.returncode == 0, left.stderr
        assert f"{system.settings.prefix}scheduler" in left.stdout
        gone = now_ms()
        await until(lambda: len(second.told("partition_owned")) >= owned + 2, 15)
        await _delivered(system, 20)
        assert now_ms() - gone < 15_000


async def _delivered(system: System, count: int) -> None:
    ids = [new_id() for _ in range(count)]
    await system.insist(
        Create(command_id=new_id(), message=system.message(id_, in_s=0.3), allow_past=True) for id_ in ids
    )
    await system.received(ids)
    await system.all_in("delivered", ids)
