"""The counts of due minutes are exact: after edits, cancels, retries, refusals and a kill -9 they say what happened."""

import random
from collections import Counter
from contextlib import asynccontextmanager

from system import System, now_ms, until
from system_receiver import Reply

from schemas.times import MINUTE_MS, at
from topology.clock import SystemClock
from topology.producer import Kafka
from topology.windows_view import WindowsView

COUNT = 400
STATES = ("pending", "retrying", "delivered", "dead", "cancelled", "expired", "unknown")


@asynccontextmanager
async def windows_of(system: System):
    kafka = Kafka(system.settings.brokers)
    await kafka.start()
    try:
        yield WindowsView(kafka, system.names.windows, system.settings.partitions, SystemClock(), 120_000)
    finally:
        await kafka.stop()


async def test_windows_agree_with_the_receiver_and_the_owners_after_a_kill(make_system):
    dice = random.Random(8)
    async with make_system() as system, windows_of(system) as view:
        begin = now_ms() + 3_000
        ids = [f"w-{n}" for n in range(COUNT)]
        kinds = {id_: dice.choice(("sent", "sent", "cancelled", "moved", "flaky", "refused")) for id_ in ids}
        for id_, kind in kinds.items():
            if kind in ("flaky", "refused"):
                system.receiver.script[id_] = [Reply(503 if kind == "flaky" else 400)]
        messages = [
            system.message(id_, due_ms=begin + dice.randrange(4_000), retry={"delays": ["PT1S"]}) for id_ in ids
        ]
        for message in messages:
            await system.create(message)
            match kinds[message.id]:
                case "cancelled":
                    await system.cancel(message.id)
                case "moved":
                    await system.edit(message.id, due_at=at(begin + 30 * MINUTE_MS))
        await system.received([id_ for id_, kind in kinds.items() if kind == "sent"][:50])
        system.scheduler.kill()
        system.scheduler.start()

        async def settled():
            states = await system.states(ids)
            return states if not set(states.values()) & {"emitted", "retrying"} and done(kinds, states) else None

        states = await until(settled, 60)
        expected = Counter(states.values())
        wanted = {name: expected.get("scheduled" if name == "pending" else name, 0) for name in STATES}

        async def told():
            found = await view.windows(begin - 60 * MINUTE_MS, begin + 60 * MINUTE_MS)
            return {name: sum(getattr(w, name) for w in found) for name in STATES}, sum(w.in_flight for w in found)

        async def exact():
            return await told() == (wanted, 0)

        await until(exact, 15, lambda: f"wanted {wanted}")
        taken = {key.rpartition("/")[0] for key in list(system.receiver.keys())}
        assert len(taken) == wanted["delivered"]
        attempted = sum(w.attempted for w in await view.windows(begin - 60 * MINUTE_MS, begin + 60 * MINUTE_MS))
        assert attempted == wanted["delivered"] + wanted["dead"]


def done(kinds, states):
    """Whether each has come to the end that was made for it; a cancel or edit may have come too late."""
    ends = {"sent": "delivered", "flaky": "delivered", "refused": "dead"}
    return all(states[id_] == ends[kind] for id_, kind in kinds.items() if kind in ends)


async def test_each_partition_tells_who_owns_it(make_system):
    async with make_system() as system, windows_of(system) as view:

        async def told():
            owners = await view.owners()
            return owners if len(owners) == system.settings.partitions else None

        first = await until(told, 15)
        system.scheduler.kill()
        system.scheduler.start()

        async def newer():
            owners = await view.owners()
            return all(owners[n].epoch > record.epoch for n, record in first.items())

        await until(newer, 30)
