"""kill -9 in mid-stream: nothing is lost, nothing early, every delivery key once at a receiver that checks it."""

import asyncio
from itertools import pairwise

import msgspec
from system import System, new_id, now_ms, spread, until

from schemas.commands import Create

COUNT = 3_000
PER_SECOND = 200


async def test_a_scheduler_killed_twice_in_mid_stream_loses_repeats_and_hastens_nothing(make_system):
    async with make_system() as system:
        ids, late_ones = await _schedule(system)
        for part in (COUNT // 6, COUNT // 2):
            await _received_at_least(system, part)
            system.scheduler.kill()
            system.scheduler.start()
        await _nothing_amiss(system, [*ids, *await late_ones])
        assert system.receiver.repeats() == {}


async def test_a_courier_killed_twice_in_mid_stream_repeats_only_what_was_in_its_hands(make_system):
    async with make_system() as system:
        ids, late_ones = await _schedule(system)
        kills = []
        for part in (COUNT // 6, COUNT // 2):
            await _received_at_least(system, part)
            system.courier.kill()
            await until(lambda: not system.receiver.connected)
            kills.append((now_ms(), await _recorded(system)))
            system.courier.start()
        await _nothing_amiss(system, [*ids, *await late_ones])
        for key in system.receiver.repeats():
            came = [a.at_ms for a in system.receiver.arrivals if a.key == key]
            for first, again in pairwise(came):
                between = [recorded for killed_ms, recorded in kills if first <= killed_ms <= again]
                assert any(key not in recorded for recorded in between), (key, came, [at for at, _ in kills])


async def test_a_rolling_restart_under_load_loses_and_repeats_nothing(make_system):
    async with make_system() as system:
        ids, late_ones = await _schedule(system, COUNT // 2)
        for part, worker in (
            (COUNT // 10, system.scheduler),
            (COUNT // 5, system.courier),
            (COUNT // 3, system.scheduler),
        ):
            await _received_at_least(system, part)
            assert await worker.stop() == 0, worker.text()[-3000:]
            worker.start()
        await _nothing_amiss(system, [*ids, *await late_ones])
        assert system.receiver.repeats() == {}


async def _recorded(system: System) -> set[str]:
    """Delivery keys whose outcome a courier has written down: what is not among them was in its hands."""
    records = await system.read(system.names.outcomes("webhook"))
    bodies = [msgspec.json.decode(record.value) for record in records if record.value]
    return {body["key"] for body in bodies if body["kind"] == "outcome"}


async def _schedule(system: System, count: int = COUNT):
    """Most are answered before anything is due; 200 more are asked for all along, through every kill."""
    begin = now_ms() + 4_000
    times = list(spread(begin, PER_SECOND, count))
    ids = [f"m-{n}" for n in range(count)]
    answers = await system.insist(
        Create(command_id=new_id(), message=system.message(id_, due_ms=due))
        for id_, due in zip(ids, times, strict=True)
    )
    assert {a.result for a in answers.values()} == {"accepted"}
    return ids, asyncio.create_task(_go_on(system, times[-1]))


async def _go_on(system: System, until_ms: int) -> list[str]:
    """One after the other, each insisted on until it is answered."""
    ids = []
    for n in range(200):
        if now_ms() >= until_ms:
            break
        ids.append(f"late-{n}")
        await system.insist([Create(command_id=new_id(), message=system.message(ids[-1], in_s=1), allow_past=True)])
    return ids


async def _received_at_least(system: System, count: int) -> None:
    await until(lambda: len(system.receiver.arrivals) >= count, 60, lambda: len(system.receiver.arrivals))


async def _nothing_amiss(system: System, ids: list[str]) -> None:
    await system.received(ids)
    await system.all_in("delivered", ids)
    assert system.receiver.early() == []
    assert system.receiver.keys().keys() == {f"{id_}/0" for id_ in ids}
    await until(system.no_lag, 15, lambda: "the groups' offsets stand still")
