"""Faust's own command line runs the same system."""

import sys
from pathlib import Path

from system import new_id

from schemas.commands import Create

FAUST = str(Path(sys.executable).with_name("faust"))
CLEPSYDRA = (sys.executable, "-m", "gateway.cli")


def workers(system, *command):
    return [
        system.keep(system.worker(role, f"{role}-by-command", [c.format(role) for c in command]))
        for role in ("scheduler", "courier")
    ]


async def sends(system, processes):
    ids = [new_id() for _ in range(20)]
    await system.insist(Create(command_id=new_id(), message=system.message(i), allow_past=True) for i in ids)
    await system.received(ids)
    await system.all_in("delivered", ids)
    assert system.receiver.repeats() == {}
    assert [await process.stop() for process in processes] == [0, 0], [p.text()[-2000:] for p in processes]


async def test_faust_worker_runs_them(make_system):
    async with make_system(start=False) as system:
        command = (FAUST, "-A", "topology.apps:{}", "worker", "--without-web", "-l", "warn")
        await sends(system, workers(system, *command))


async def test_clepsydra_worker_runs_them(make_system):
    async with make_system(start=False) as system:
        await sends(system, workers(system, *CLEPSYDRA, "worker", "{}"))
