"""Workloads of commands: bulk acceptance, and cancels that race with the due time."""

import asyncio
import random
import time

from benchmarks.figures import Figures, judged
from benchmarks.ground import Cluster, Ground, now_ms
from benchmarks.load import creates, keys_due, spread
from schemas.commands import Answer, Cancel, Command
from schemas.ids import delivery_key
from topology.commander import Commander
from topology.settings import load_settings
from topology.topic_admin import create_topics
from topology.world import all_topics

HOUR_MS = 3_600_000
CHUNK = 250
CHUNKS_AT_ONCE = 8


async def bulk(ground: Ground, name: str, messages: int, schedulers: int) -> list[Figures]:
    """Accepted durably: until the owners' answers have all come back. Beside it, the plain append of the same."""
    appended_s = await plain_append(ground, messages)
    async with ground.cluster(name, schedulers=schedulers) as cluster:
        commands = list(creates(name, [now_ms() + HOUR_MS] * messages))
        meter = cluster.meter()
        began = time.perf_counter()
        answers = await cluster.ask(commands)
        seconds = time.perf_counter() - began
        found = cluster.finish(Figures(workload=name, messages=messages), meter)
        found.lost = sum(not isinstance(a, Answer) or a.result != "accepted" for a in answers)
        found.more = {"accepted_per_s": messages / seconds, "appended_per_s": messages / appended_s}
        ground.learn(messages, seconds)
        return [found]


async def plain_append(ground: Ground, messages: int) -> float:
    """Seconds to write the same commands into a log that nobody reads."""
    settings = load_settings(brokers=ground.brokers, prefix=f"append{time.time_ns()}.", data=ground.directory)
    made = await create_topics(ground.admin.admin, all_topics(settings), replication=1)
    commander = Commander(settings)
    await commander.start()
    try:
        commands = list(creates("append", [now_ms() + HOUR_MS] * messages))
        await commander.tell_many(commands[:1000])
        began = time.perf_counter()
        await commander.tell_many(commands)
        return time.perf_counter() - began
    finally:
        await commander.stop()
        await ground.admin.admin.delete_topics(list(made.made))


async def cancels(ground: Ground, name: str, messages: int, *, per_s: int) -> list[Figures]:
    """Cancels at rest, then cancels of messages that fall due meanwhile: is every answer true?"""
    async with ground.cluster(name) as cluster:
        rested = await at_rest(cluster, f"{name}-at-rest", messages * 2)
        return [rested, await racing(cluster, name, messages, per_s)]


async def at_rest(cluster: Cluster, name: str, messages: int) -> Figures:
    """Cancels of messages that are due in an hour, as fast as they go."""
    await cluster.accept(list(creates(name, [now_ms() + HOUR_MS] * messages)))
    await cluster.quiet()
    commands = [Cancel(command_id=f"cancel-{name}-{n}", id=f"{name}-{n}") for n in range(messages)]
    meter = cluster.meter()
    began = time.perf_counter()
    answers = await cluster.ask(commands)
    seconds = time.perf_counter() - began
    found = cluster.finish(Figures(workload=name, messages=messages), meter)
    found.lost = sum(not isinstance(a, Answer) or a.result != "cancelled" for a in answers)
    found.more = {"cancels_per_s": messages / seconds}
    return found


async def racing(cluster: Cluster, name: str, messages: int, per_s: int) -> Figures:
    """Due times spread over as long as the cancels take at `per_s`; in random order, so that half come too late."""
    seconds = max(1, messages // per_s)
    due = spread(now_ms() + cluster.ground.lead_ms(messages), messages // seconds, seconds)
    await cluster.accept(list(creates(name, due)))
    await cluster.quiet((due[0] - now_ms()) / 1000 - 1)
    commands: list[Command] = [Cancel(command_id=f"cancel-{name}-{n}", id=f"{name}-{n}") for n in range(len(due))]
    random.Random(1).shuffle(commands)
    await asyncio.sleep(due[0] / 1000 - time.time())
    meter = cluster.meter()
    began = time.perf_counter()
    answers = await paced(cluster, commands, per_s)
    took_s = time.perf_counter() - began
    cancelled = {a.id for a in answers if isinstance(a, Answer) and a.result == "cancelled"}
    late = {a.id for a in answers if isinstance(a, Answer) and a.result == "too_late"}
    keys = keys_due(name, due)
    expected = {delivery_key(i, 0): keys[delivery_key(i, 0)] for i in {c.id for c in commands} - cancelled}
    arrivals = await cluster.arrived(expected) if expected else []
    await cluster.quiet()
    arrivals = await cluster.outcomes.read()
    found = cluster.finish(judged(name, expected, arrivals), meter)
    sent = {a.key for a in arrivals}
    found.messages = len(due)
    found.untrue = sum(delivery_key(i, 0) in sent for i in cancelled) + sum(
        delivery_key(i, 0) not in sent for i in late
    )
    found.more = {
        "cancels_per_s": len(due) / took_s, "cancelled": len(cancelled), "too_late": len(late),
        "unanswered": len(due) - len(cancelled) - len(late),
    }  # fmt: skip
    return found


async def paced(cluster: Cluster, commands: list[Command], per_s: int) -> list[Answer | Exception]:
    """Chunks in their time, some under way at once."""
    gate = asyncio.Semaphore(CHUNKS_AT_ONCE)
    began = time.perf_counter()

    async def chunk(start: int) -> list[Answer | Exception]:
        await asyncio.sleep(began + start / per_s - time.perf_counter())
        async with gate:
            return await cluster.ask(commands[start : start + CHUNK])

    parts = await asyncio.gather(*(chunk(start) for start in range(0, len(commands), CHUNK)))
    return [answer for part in parts for answer in part]
