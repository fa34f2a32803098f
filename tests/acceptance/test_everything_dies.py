"""kill -9 of everything at once, Kafka included: what was accepted is there after the restart."""

import os
from collections import Counter

import pytest
from aiokafka import TopicPartition
from system import System, new_id, now_ms

from schemas.commands import Create
from schemas.windows import COUNTED, PLACE
from topology.embedded_kafka import EmbeddedKafka
from topology.mirror import open_mirror
from topology.producer import Kafka

PENDING = int(os.environ.get("CLEPSYDRA_TEST_PENDING", "30000"))
YEAR_MS = 365 * 24 * 3_600_000


async def test_what_was_accepted_survives_the_death_of_everything(tmp_path):
    async with EmbeddedKafka(tmp_path / "kafka") as kafka, System(kafka.bootstrap, tmp_path) as system:
        far_ms = now_ms() + YEAR_MS
        far = [f"far-{n}" for n in range(PENDING)]
        await _accepted(system, [system.message(id_, due_ms=far_ms + n) for n, id_ in enumerate(far)])
        soon = [f"soon-{n}" for n in range(300)]
        await _accepted(system, [system.message(id_, in_s=6 + n / 100) for n, id_ in enumerate(soon)])

        for process in (kafka, system.scheduler, system.courier):
            process.kill()
        assert await kafka.start() == system.settings.brokers
        system.scheduler.start()
        system.courier.start()

        await system.received(soon)
        await system.all_in("delivered", soon)
        assert system.receiver.early() == []
        assert system.receiver.ids() == set(soon)
        assert Counter((await system.states(far[:: max(1, PENDING // 3_000)])).values()).keys() == {"scheduled"}
        assert await system.scheduler.stop() == 0
        assert await _counts(system) == {"scheduled": PENDING, "delivered": len(soon)}


async def _accepted(system, messages):
    answers = await system.insist(Create(command_id=new_id(), message=m) for m in messages)
    assert Counter(a.result for a in answers.values()) == {"accepted": len(messages)}


async def _counts(system):
    """Over all windows of all partitions, out of the mirrors that the scheduler left."""
    found = Counter()
    kafka = Kafka(system.settings.brokers)
    await kafka.start()
    try:
        identity = await kafka.identity()
        for n in range(system.settings.partitions):
            mirror = open_mirror(
                system.settings.data / "scheduler-0" / f"timetable-{n}",
                cluster_id=identity.id,
                topic_id=identity.topics[system.names.timetable].id,
                log_start=0,
                log_end=await kafka.end_of(TopicPartition(system.names.timetable, n)),
                now_ms=now_ms(),
                max_sleep_ms=YEAR_MS,
                warn=pytest.fail,
            )
            for counts in mirror.counts.values():
                found.update({state.value: counts[PLACE[state]] for state in COUNTED})
            mirror.close()
    finally:
        await kafka.stop()
    return {state: count for state, count in found.items() if count}
