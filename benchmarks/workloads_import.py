"""Workloads of files: `clepsydra import` through a gateway, alone, and while other messages are due."""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec

from benchmarks.figures import Figures, judged
from benchmarks.ground import Cluster, Ground, now_ms
from benchmarks.load import creates, keys_due, spread
from benchmarks.processes import Child
from topology.embedded_process import free_port

KEY = "the-key-of-the-benchmarks"
FAR = "2100-01-01T08:00:00Z"
READY_WITHIN_S = 30
DUE_AT_LEAST_S = 30
IMPORTED_PER_S = 3_500
"""A file that comes in slower than this outlasts what is due beside it, and the figures say so."""
CLI = [sys.executable, "-m", "gateway.cli"]


class Importer:
    """A gateway of a cluster, and the command that imports through it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = cluster.env | {"CLEPSYDRA_API_KEY": KEY, "CLEPSYDRA_PORT": str(self.port), "CLEPSYDRA_URL": self.url}

    async def start(self) -> None:
        """Until the gateway is ready."""
        child = Child("gateway", [*CLI, "gateway"], self.cluster.directory / "gateway.log", self.env)
        self.cluster.workers["gateway"] = child
        async with asyncio.timeout(READY_WITHIN_S), httpx.AsyncClient() as http:
            while True:
                child.check()
                try:
                    if (await http.get(f"{self.url}/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)

    async def run(self, file: Path) -> dict[str, Any]:
        """The summary that the command prints."""
        process = await asyncio.create_subprocess_exec(
            *CLI, "import", str(file), "--json", env=self.env, stdout=asyncio.subprocess.PIPE
        )
        before = _children_cpu_s()
        out, _ = await process.communicate()
        found: dict[str, Any] = msgspec.json.decode(out)
        return found | {"cpu_s": _children_cpu_s() - before}


def _children_cpu_s() -> float:
    """Of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ndjson(path: Path, messages: int) -> Path:
    """300-byte bodies, an id each."""
    with path.open("w") as out:
        for n in range(messages):
            line = {"id": f"{path.stem}-{n}", "due_at": FAR, "channel": "log", "body": "x" * 300}
            out.write(json.dumps(line) + "\n")
    return path


def csv(path: Path, messages: int) -> Path:
    """The same as CSV."""
    with path.open("w") as out:
        out.write("id,due_at,channel,body\n")
        out.writelines(f"{path.stem}-{n},{FAR},log,{'x' * 300}\n" for n in range(messages))
    return path


async def imports(ground: Ground, name: str, messages: int) -> list[Figures]:
    """NDJSON, then CSV: lines answered by their owners per second, so rows and events are durable."""
    found = []
    async with ground.cluster(name) as cluster:
        importer = Importer(cluster)
        await importer.start()
        await importer.run(ndjson(cluster.directory / "warm.ndjson", 5_000))
        await cluster.quiet()
        for write, ending in ((ndjson, "ndjson"), (csv, "csv")):
            file = write(cluster.directory / f"{name}-{ending}.{ending}", messages)
            meter = cluster.meter()
            summary = await importer.run(file)
            row = cluster.finish(Figures(workload=f"{name}-{ending}", messages=messages), meter)
            row.cpu_s["importer"] = summary["cpu_s"]
            row.lost = messages - summary["accepted"]
            row.more = {"accepted_per_s": summary["per_second"]}
            found.append(row)
            await cluster.quiet()
    return found


async def import_while_due(ground: Ground, name: str, messages: int, rate: int) -> list[Figures]:
    """`rate` due each second for as long as a file of `messages` is imported, from their first second on."""
    due_s = max(DUE_AT_LEAST_S, messages // IMPORTED_PER_S)
    async with ground.cluster(name) as cluster:
        importer = Importer(cluster)
        await importer.start()
        file = ndjson(cluster.directory / f"{name}-file.ndjson", messages)
        due = spread(now_ms() + ground.lead_ms(rate * due_s), rate, due_s)
        await cluster.accept(list(creates(name, due)))
        await cluster.quiet((due[0] - now_ms()) / 1000 - 1)
        await asyncio.sleep(due[0] / 1000 + 1 - time.time())
        meter = cluster.meter()
        began = time.time()
        summary = await importer.run(file)
        imported_s = time.time() - began
        arrivals = await cluster.arrived(keys_due(name, due))
        found = cluster.finish(judged(name, keys_due(name, due), arrivals), meter)
        found.cpu_s["importer"] = summary["cpu_s"]
        found.lost = (found.lost or 0) + messages - summary["accepted"]
        found.more = {"accepted_per_s": summary["per_second"], "imported_s": imported_s, "imported": messages}
        while_it_ran = {key: ms for key, ms in keys_due(name, due).items() if began <= ms / 1000 <= began + imported_s}
        part = judged(name, while_it_ran, arrivals)
        found.more |= {"meanwhile": len(while_it_ran), "meanwhile_p99_ms": part.p99_ms or 0}
        if imported_s + 1 > due_s:
            found.remarks.append(
                f"the import took {imported_s:.0f} s, {imported_s + 1 - due_s:.0f} s longer than any was due"
            )
        return [found]
