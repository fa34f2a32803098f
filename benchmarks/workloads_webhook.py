"""Webhooks that are all due at one instant, to a receiver in a process of its own."""

import asyncio
import time

from benchmarks.arrivals import Receiver
from benchmarks.figures import Figures, judged
from benchmarks.ground import LOOK_S, Cluster, Ground, now_ms
from benchmarks.load import creates, keys_due, own_account
from benchmarks.meter import Meter
from topology.embedded_process import free_port

WARM_UP = 200
WITHIN_S = 60
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def webhooks(ground: Ground, name: str, messages: int) -> list[Figures]:
    """An account each. Lateness is by the receiver's clock, when it has read the request."""
    port = free_port()
    receiver = await Receiver.start("benchmarks.webhook_receiver", str(port), log=ground.directory / "receiver.log")
    try:
        async with ground.cluster(name, webhook_allow_private="true", webhook_secret=SECRET) as cluster:
            await warm_up(cluster, receiver, url := f"http://127.0.0.1:{port}/hook")
            due = [now_ms() + ground.lead_ms(messages)] * messages
            await cluster.accept(list(creates(name, due, own_account, "webhook", url)))
            meter, of_receiver = cluster.meter(), Meter({"receiver": receiver.process.pid})
            await until_received(ground, receiver, WARM_UP + messages, due[0])
            await cluster.quiet()
            found = cluster.finish(judged(name, keys_due(name, due), await receiver.report()), meter)
            found.cpu_s |= of_receiver.cpu_s()
            found.rss_mb |= of_receiver.rss_mb()
            return [found]
    finally:
        await receiver.stop()


async def warm_up(cluster: Cluster, receiver: Receiver, url: str) -> None:
    """Some webhooks before those that are measured."""
    due_ms = now_ms() + 300
    await cluster.accept(list(creates("warm-webhook", [due_ms] * WARM_UP, own_account, "webhook", url)))
    await until_received(cluster.ground, receiver, WARM_UP, due_ms)
    await cluster.quiet()


async def until_received(ground: Ground, receiver: Receiver, messages: int, due_ms: int) -> None:
    """Until so many have come, or a minute after the due time."""
    received = 0
    while received < messages and time.time() < due_ms / 1000 + WITHIN_S:
        received = await receiver.count()
        ground.step("received", min(received, messages), messages)
        await asyncio.sleep(LOOK_S)
