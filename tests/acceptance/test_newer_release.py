"""What a newer release wrote, and topics that are not as the settings say: the process ends, naming it, and takes no harm."""

import pytest
from system import System


async def ends_saying(worker, *words: str) -> None:
    assert await worker.ended(30) not in {0, -9}, "it went on"
    (line,) = worker.told("process_ends")
    for word in words:
        assert word in f"{line['reason']} {line['remedy']}"


@pytest.mark.parametrize(
    ("topic", "value", "role"),
    [
        ("due.log", b'[{"kind":"due","v":2,"news":true}]', "courier"),
        ("acks", b'[{"v":2,"news":true}]', "scheduler"),
        ("timetable", b'{"kind":"row","v":2,"news":true}', "scheduler"),
        ("outcomes.log", b'{"kind":"outcome","v":2,"news":true}', "courier"),
        ("settings", b'{"kind":"flow","v":2,"news":true}', "scheduler"),
        ("settings", b'{"kind":"flow","v":2,"news":true}', "courier"),
    ],
)
async def test_a_record_of_a_newer_release_ends_the_process_with_what_to_do(make_system, topic, value, role):
    async with make_system(start=False) as system:
        await system.produce(system.settings.prefix + topic, value, partition=0, key=b"some-id")
        worker = system.scheduler if role == "scheduler" else system.courier
        worker.start()
        await ends_saying(worker, "version 2", "this release knows 1", "newer release")


async def test_a_partition_count_that_differs_from_the_settings_ends_the_start(make_system):
    async with make_system(start=False) as system:
        for role in ("scheduler", "courier"):
            other = system.keep(system.worker(role, f"{role}-of-3", CLEPSYDRA_PARTITIONS="3"))
            await ends_saying(other, f"{system.names.timetable}: has 2 partitions, 3 are set", "CLEPSYDRA_PREFIX")


async def test_topics_that_are_not_there_end_the_start(kafka, tmp_path):
    system = System(kafka.bootstrap, tmp_path)
    worker = system.worker("scheduler")
    worker.start()
    await ends_saying(worker, system.names.commands, "topics create")
