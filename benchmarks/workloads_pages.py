"""A herd without the dashboard and with three pages of it open, in turn: what looking costs, and how soon a page answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from statistics import median

import httpx

from benchmarks.figures import Figures, judged
from benchmarks.ground import Cluster, Ground, now_ms
from benchmarks.load import creates, keys_due
from benchmarks.pages import Browser
from benchmarks.processes import Child
from benchmarks.workloads_import import CLI, KEY, READY_WITHIN_S, Importer
from topology.embedded_process import free_port

PAGES = 3
PAIRS = 2
LOOK_EVERY_S = 0.5
BEFORE_S, AFTER_S = 1.0, 3.0
"""A page is looked at from so long before the herd is due until so long after its last message."""


class Looks:
    """What whoever looks on finds: seconds until a page or an answer of the API is there, and between live updates."""

    def __init__(self) -> None:
        self.page_s: list[float] = []
        self.api_s: list[float] = []
        self.update_s: list[float] = []

    def more(self) -> dict[str, float]:
        """The worst of each, in ms."""
        worst = {"page_ms_max": self.page_s, "api_ms_max": self.api_s, "between_updates_ms_max": self.update_s}
        return {name: 1000 * max(found) for name, found in worst.items() if found} | {"pages_loaded": len(self.page_s)}


async def herd_with_pages(ground: Ground, name: str, messages: int) -> list[Figures]:
    """The same herd in pairs, first without a page, then with three; the medians, and their ratio.

    Then once more with three, while a fourth is loaded twice a second: what that says of pages is no part of the ratio.
    """
    async with ground.cluster(name) as cluster:
        importer = Importer(cluster)
        await importer.start()
        url = await _dashboard(cluster, importer.url)
        alone: list[Figures] = []
        watched: list[Figures] = []
        looks = Looks()
        for n in range(PAIRS):
            alone.append(await _herd(cluster, f"{name}-alone-{n}", messages, None))
            async with Browser(url, KEY) as browser:
                await browser.open(PAGES)
                watched.append(await _herd(cluster, f"{name}-watched-{n}", messages, None))
        async with Browser(url, KEY) as browser:
            asked = await _herd(cluster, f"{name}-asked", messages, (browser, importer.url, looks))
        found = [_summary(f"{name}-none-open", alone), _summary(f"{name}-open", watched)]
        without, with_pages = (f.drained_s or 0 for f in found)
        found[1].more |= {"drained_ratio": with_pages / without if without else 0}
        asked.workload = f"{name}-open-and-loaded"
        asked.more |= looks.more()
        return [*found, asked]


async def _dashboard(cluster: Cluster, api: str) -> str:
    """Its address, once it answers."""
    port = free_port()
    command = [*CLI, "dashboard", "--url", api, "--port", str(port)]
    cluster.workers["dashboard"] = child = Child("dashboard", command, cluster.directory / "dashboard.log", cluster.env)
    async with asyncio.timeout(READY_WITHIN_S), httpx.AsyncClient() as http:
        while True:
            child.check()
            with suppress(httpx.TransportError):
                await http.get(f"http://127.0.0.1:{port}/login")
                return f"http://127.0.0.1:{port}"
            await asyncio.sleep(0.1)


async def _herd(cluster: Cluster, name: str, messages: int, by: tuple[Browser, str, Looks] | None) -> Figures:
    due = [now_ms() + cluster.ground.lead_ms(messages)] * messages
    accepted_s = await cluster.accept(list(creates(name, due)))
    spare_s = due[0] / 1000 - time.time()
    cluster.ground.learn(messages, accepted_s)
    meter = cluster.meter()
    if by is None:
        arrivals = await cluster.arrived(keys_due(name, due))
    else:
        async with _looked_at(*by, due[0] / 1000):
            arrivals = await cluster.arrived(keys_due(name, due))
    found = cluster.finish(judged(name, keys_due(name, due), arrivals), meter)
    if spare_s < 0:
        found.remarks.append(f"acceptance ended {-spare_s:.1f} s after it was due: the time is that of acceptance")
    await cluster.quiet(10)
    return found


@asynccontextmanager
async def _looked_at(browser: Browser, api: str, looks: Looks, due_s: float) -> AsyncIterator[None]:
    """Three pages are open meanwhile, and a fourth is loaded twice a second."""
    await browser.open(PAGES)
    looking = asyncio.create_task(_look(browser, api, looks, due_s - BEFORE_S))
    try:
        yield
        await asyncio.sleep(AFTER_S)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        for page in browser.pages:
            times = [at for at in page.updates if at >= due_s - BEFORE_S]
            looks.update_s += [after - before for before, after in pairwise(times)]
        await browser.close()


async def _look(browser: Browser, api: str, looks: Looks, from_s: float) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    await asyncio.sleep(max(0.0, from_s - time.time()))
    async with httpx.AsyncClient(base_url=api, headers=headers, timeout=30) as http:
        while True:
            looks.page_s.append(await browser.look())
            for path in ("/v1/windows", "/v1/partitions", "/v1/channels"):
                began = time.perf_counter()
                (await http.get(path)).raise_for_status()
                looks.api_s.append(time.perf_counter() - began)
            await asyncio.sleep(LOOK_EVERY_S)


def _summary(name: str, found: Sequence[Figures]) -> Figures:
    """The herd whose time is the median one; faults of all."""
    ordered = sorted(found, key=lambda each: each.drained_s or 0)
    middle = ordered[len(ordered) // 2]
    middle.workload = name
    middle.early, middle.lost, middle.repeated = (
        sum(getattr(each, what) or 0 for each in found) for what in ("early", "lost", "repeated")
    )
    middle.drained_s = median(each.drained_s or 0 for each in found)
    middle.more = {f"drained_{n}_s": each.drained_s or 0 for n, each in enumerate(found, 1)}
    middle.remarks = [remark for each in found for remark in each.remarks]
    return middle
