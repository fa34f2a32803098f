"""Counts are exact: after edits, cancels, retries, refusals and kill -9, windows, archive and receiver agree."""

import random
from collections import Counter
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import Any

from system import System, new_id, now_ms, until
from system_receiver import Reply

from schemas.times import MINUTE_MS, at, ms_of
from topology.archive import Archive, Filter
from topology.clock import SystemClock
from topology.event_ends import event_ends
from topology.producer import Kafka
from topology.windows_view import WindowsView

COUNT = 400
PLACES = {"scheduled": "pending"}
"""What a window calls a state otherwise."""
STATES = ("pending", "retrying", "delivered", "dead", "cancelled", "expired", "unknown")


@asynccontextmanager
async def windows_of(system: System):
    async with connected(system) as kafka:
        yield WindowsView(kafka, system.names.windows, system.settings.partitions, SystemClock(), 120_000)


@asynccontextmanager
async def connected(system: System):
    kafka = Kafka(system.settings.brokers)
    await kafka.start()
    try:
        yield kafka
    finally:
        await kafka.stop()


async def archived(system: System) -> list[Mapping[str, Any]]:
    """The messages in Postgres, once it has taken in all that owners have told."""
    async with connected(system) as kafka, Archive(system.settings) as archive:
        ends = await event_ends(kafka, system.names.events, system.settings.partitions)
        assert await archive.caught_up(ends, 30), system.archivist.text()[-3000:]
        return (await archive.messages(Filter(), limit=10 * COUNT)).rows


def by_minute(rows: list[Mapping[str, Any]]) -> Counter[tuple[int, str]]:
    """How many of each state are in each due minute."""
    return Counter((ms_of(row["due_at"]) // MINUTE_MS, PLACES.get(row["state"], row["state"])) for row in rows)


async def test_windows_archive_owners_and_receiver_agree_to_the_message_after_kills(make_system, postgres):
    dice = random.Random(8)
    database = await postgres.create_database(new_id("exact"))
    async with make_system(postgres=database) as system, windows_of(system) as view:
        begin = now_ms() + 3_000
        ids = [f"w-{n}" for n in range(COUNT)]
        kinds = {id_: dice.choice(("sent", "sent", "cancelled", "moved", "flaky", "refused")) for id_ in ids}
        for id_, kind in kinds.items():
            if kind in ("flaky", "refused"):
                system.receiver.script[id_] = [Reply(503)] if kind == "flaky" else [Reply(400)] * 9
        messages = [
            system.message(id_, due_ms=begin + dice.randrange(4_000), retry={"delays": ["PT1S"]}) for id_ in ids
        ]
        edited = set()
        for message in messages:
            await system.create(message)
            match kinds[message.id]:
                case "cancelled":
                    await system.cancel(message.id)
                case "moved":
                    answer = await system.edit(message.id, due_at=at(begin + 30 * MINUTE_MS))
                    edited |= {message.id} if answer.result == "accepted" else set()
        await system.received([id_ for id_, kind in kinds.items() if kind == "sent"][:50])
        for worker in (system.scheduler, system.courier, system.archivist):
            worker.kill()
            worker.start()

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
        stored = await archived(system)
        assert sorted((row["id"], row["state"]) for row in stored) == sorted(states.items())
        assert {row["id"] for row in stored if row["revision"] == 2} == edited
        found = await view.windows(begin - 60 * MINUTE_MS, begin + 60 * MINUTE_MS)
        in_windows = {(ms_of(w.minute) // MINUTE_MS, name): getattr(w, name) for w in found for name in STATES}
        assert by_minute(stored) == +Counter(in_windows)
        taken = {key.rpartition("/")[0] for key in list(system.receiver.keys())}
        assert {row["id"] for row in stored if row["state"] == "delivered"} == taken
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
