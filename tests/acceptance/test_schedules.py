"""Schedules on real processes: every occurrence once at a receiver that checks keys, none missing, whatever dies."""

import os
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
from system import System, at, new_id, now_ms, until

from schemas.commands import Answer
from schemas.recurrence import nominal_text
from schemas.schedule import NewDefinition
from schemas.schedule_commands import (
    ScheduleLook,
    SchedulePause,
    SchedulePut,
    ScheduleRemove,
    ScheduleResume,
    ScheduleTrigger,
)

SCHEDULES = int(os.environ.get("CLEPSYDRA_TEST_SCHEDULES", "60"))
SECONDS = int(os.environ.get("CLEPSYDRA_TEST_SCHEDULES_S", "16"))
KILLS = 3


def put(system: System, schedule_id: str, **definition) -> SchedulePut:
    message = {"channel": "webhook", "to": system.receiver.url, "body": {"due_ms": 0}}
    given = {"message": message, "missed": "all"} | definition
    return SchedulePut(
        command_id=new_id(),
        id=schedule_id,
        definition=msgspec.json.decode(msgspec.json.encode(given), type=NewDefinition),
    )


async def look(system: System, schedule_id: str) -> Answer:
    return await system.ask(ScheduleLook(command_id=new_id(), id=schedule_id))


async def test_every_occurrence_comes_once_though_the_scheduler_is_killed_three_times(make_system):
    """CLEPSYDRA_TEST_SCHEDULES=1000 CLEPSYDRA_TEST_SCHEDULES_S=120: the whole of it."""
    async with make_system(schedule_horizon=10) as system:
        start = datetime.fromtimestamp(now_ms() // 1000 + 4 + SCHEDULES // 100, UTC)
        end = start + timedelta(seconds=SECONDS)
        ids = [f"every-{n}" for n in range(SCHEDULES)]
        timing = {"recurrence": {"every": "PT2S"}, "start": start.isoformat(), "end": end.isoformat()}
        answers = await system.insist(put(system, i, **timing) for i in ids)
        assert {a.result for a in answers.values()} == {"accepted"}
        for kill in range(KILLS):
            await until(
                lambda k=kill: now_ms() / 1000 > start.timestamp() + (k + 0.5) * SECONDS / (KILLS + 1), SECONDS + 30
            )
            system.scheduler.kill()
            system.scheduler.start()
        even = start + timedelta(seconds=start.second % 2)
        nominals = [even + timedelta(seconds=s) for s in range(0, SECONDS + 1, 2) if even + timedelta(seconds=s) <= end]
        wanted = {f"{i}@{nominal_text(nominal)}" for i in ids for nominal in nominals}
        await system.received(wanted, SECONDS + 60)
        await system.all_in("delivered", wanted, 60)
        assert system.receiver.ids() == wanted
        assert not {key for key, count in system.receiver.keys().items() if count > 1 + KILLS}
        early = [a for a in system.receiver.arrivals if at(a.at_ms) < datetime.fromisoformat(a.id.rpartition("@")[2])]
        assert not early
        view = (await look(system, ids[0])).schedule
        assert view is not None
        assert view.state == "ended"
        assert Counter(past.state for past in view.history) <= Counter({"sent": len(nominals), "late": len(nominals)})


async def test_pause_resume_trigger_and_remove(make_system):
    async with make_system() as system:
        await system.ask(put(system, "beat", recurrence={"every": "PT1S"}, missed="skip"))
        await until(lambda: len(system.receiver.ids()) >= 2)
        await system.ask(SchedulePause(command_id=new_id(), id="beat", note="why not"))
        paused = (await look(system, "beat")).schedule
        assert (paused.state, paused.paused.note) == ("paused", "why not")
        seen = len(system.receiver.arrivals)
        run = (await system.ask(ScheduleTrigger(command_id=new_id(), id="beat"))).detail
        await system.received([run])
        assert len(system.receiver.arrivals) <= seen + 2  # the trigger, and what was on its way
        await system.ask(ScheduleResume(command_id=new_id(), id="beat"))
        count = len(system.receiver.ids())
        await until(lambda: len(system.receiver.ids()) >= count + 2)
        await system.ask(ScheduleRemove(command_id=new_id(), id="beat"))
        removed = (await look(system, "beat")).schedule
        assert removed.state == "removed"
        assert not system.receiver.repeats()


async def test_each_target_of_a_message_is_on_its_own(make_system):
    """One good, one flaky, one dead: the dead one delays none. Each channel has a courier process of its own."""
    from system_receiver import Receiver, Reply  # noqa: PLC0415

    async with Receiver() as flaky, make_system(start=False) as system:
        for channel in ("webhook", "log"):
            command = [sys.executable, "-m", "gateway.cli", "worker", "courier", "--channel", channel]
            system.keep(system.worker("courier", f"courier-{channel}", command))
        system.keep(system.scheduler)
        await system.owned()
        flaky.script["many"] = [Reply(503), Reply(503)]
        targets = [
            {"channel": "webhook", "to": system.receiver.url},
            {"channel": "webhook", "to": flaky.url},
            {"channel": "webhook", "to": "http://127.0.0.1:9/dead"},
            {"channel": "log", "to": ""},
        ]
        due = now_ms() + 1_000
        retry = {"delays": ["PT0.5S", "PT0.5S"]}
        await system.create(system.message("many", due_ms=due, targets=targets, retry=retry))
        await system.all_in("partial", ["many"])
        view = (await system.look("many")).view
        assert [d.state for d in view.deliveries] == ["delivered", "delivered", "dead", "delivered"]
        assert [d.attempts for d in view.deliveries] == [1, 3, 3, 1]
        (good,) = system.receiver.of("many")
        assert at(good.at_ms) < view.deliveries[2].last_attempt_at
        assert [a.key for a in flaky.of("many")] == ["many/1"] * 3
