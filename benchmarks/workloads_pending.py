"""Many pending messages: memory once all is at rest, then a scheduler that is killed and comes back, warm and cold."""

import asyncio
import shutil
import time
from itertools import islice

from benchmarks.figures import Arrival, Figures, judged
from benchmarks.ground import LOOK_S, Cluster, Ground, now_ms
from benchmarks.load import creates, keys_due
from benchmarks.meter import Meter

DUE_IN_MS = 3 * 3_600_000
BATCH = 10_000
MARKERS = 100
MARKERS_DUE_IN_MS = 4_000
KILL_BEFORE_MS = 1_500
WITHIN_S = 90
SENT_WITHIN_S = 120
INSTANCE = "bench"


async def pending(ground: Ground, name: str, messages: int, *, stubs: int = 0) -> list[Figures]:
    """Three rows: memory, then recovery warm, then with the mirror deleted. Of the messages, `stubs` are sent before."""
    async with ground.cluster(name, instance=INSTANCE) as cluster:
        accepted_s = await fill(cluster, name, messages, stubs)
        await cluster.quiet()
        meter = cluster.meter()
        await asyncio.sleep(5)
        memory = cluster.finish(Figures(workload=name, messages=messages), meter)
        memory.more = {"accepted_per_s": messages / accepted_s, "idle_s": 5}
        warm = await recovery(cluster, f"{name}-recovery-warm", messages, cold=False)
        cold = await recovery(cluster, f"{name}-recovery-cold", messages, cold=True)
        return [memory, warm, cold]


async def fill(cluster: Cluster, name: str, messages: int, stubs: int) -> float:
    """Seconds until all are accepted; made as they are sent, so that the load generator stays small.

    Ends when those that were due at once, mixed evenly among the others, are delivered: they are stubs then.
    """
    due = now_ms() + DUE_IN_MS
    sent_before = await cluster.outcomes.count()
    source = creates(name, (now_ms() if is_stub(n, messages, stubs) else due + n for n in range(messages)))
    began = time.perf_counter()
    done = 0
    while some := list(islice(source, BATCH)):
        await cluster.accept(some, "filling")
        cluster.ground.step("filling", done := done + len(some), messages)
    seconds = time.perf_counter() - began
    async with asyncio.timeout(SENT_WITHIN_S):
        while (sent := await cluster.outcomes.count() - sent_before) < stubs:
            cluster.ground.step("sending", sent, stubs)
            await asyncio.sleep(LOOK_S)
    return seconds


def is_stub(number: int, messages: int, stubs: int) -> bool:
    """`stubs` of `messages` numbers, evenly spread."""
    return (number + 1) * stubs // messages > number * stubs // messages


async def recovery(cluster: Cluster, name: str, messages: int, *, cold: bool) -> Figures:
    """kill -9, wait until some messages are overdue, start again: how long until the first is in the courier's hands?

    The process has an instance name, so that its group does not wait for the dead one's session to end.
    """
    due = [now_ms() + MARKERS_DUE_IN_MS] * MARKERS
    await cluster.accept(list(creates(name, due)))
    await asyncio.sleep((due[0] - KILL_BEFORE_MS) / 1000 - time.time())
    cluster.workers["scheduler"].kill()
    if cold:
        shutil.rmtree(cluster.directory / f"scheduler-{INSTANCE}")
    await asyncio.sleep(max(0, due[0] / 1000 - time.time()) + 0.2)
    child = cluster.start_worker("scheduler", "scheduler")
    meter = Meter({"scheduler": child.pid})
    keys = keys_due(name, due)
    arrivals: list[Arrival] = []
    before = len(await cluster.outcomes.read())
    while time.time() < child.began + WITHIN_S and len({a.key for a in arrivals if a.key in keys}) < MARKERS:
        child.check()
        await asyncio.sleep(LOOK_S)
        arrivals = (await cluster.outcomes.read())[before:]
    await cluster.quiet()
    found = judged(name, keys, await cluster.outcomes.read())
    firsts = [a.at_ms for a in arrivals if a.key in keys]
    found.p50_ms = found.p99_ms = found.max_ms = found.drained_s = None
    found.messages = messages
    if firsts:
        found.more = {
            "start_to_first_s": min(firsts) / 1000 - child.began,
            "to_last_s": max(firsts) / 1000 - child.began,
        }
    found.cpu_s, found.rss_mb = meter.cpu_s(), meter.rss_mb()
    return found
