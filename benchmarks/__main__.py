"""`python -m benchmarks`: measures Clepsydra on this machine, and others beside it in the same run."""

import argparse
import asyncio
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.figures import Figures
from benchmarks.ground import Ground
from benchmarks.plan import QUICK, Sizes, Workload, million, workloads
from benchmarks.report import ratios, remarks, table

WORKLOAD_WITHIN_S = 300


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the workloads and end")
    parser.add_argument("--only", metavar="NAMES", help="these, separated by commas")
    parser.add_argument("--quick", action="store_true", help="small loads: whether all works, not how fast")
    parser.add_argument(
        "--million", action="store_true", help="also 1,000,000 rows, pending and stubs: some minutes more"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    parser.add_argument("--profiles", type=Path, metavar="DIR", help="py-spy on each worker, collapsed stacks into DIR")
    return parser.parse_args(given)


async def run(chosen: Sequence[Workload], options: argparse.Namespace, console: Console) -> list[Figures]:
    """One after the other; what one of them raises is told and does not stop the others."""
    found: list[Figures] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        tempfile.TemporaryDirectory(prefix="clepsydra-bench-") as directory,
        Progress(*columns, console=console) as bars,
    ):
        whole, part = bars.add_task("workloads", total=len(chosen)), bars.add_task("")

        def step(text: str, done: int, of: int) -> None:
            bars.update(part, description=text, completed=done, total=of)

        ground = Ground(Path(directory), step, options.profiles)
        try:
            step("starting Kafka", 0, 1)
            await ground.start()
            for workload in chosen:
                bars.update(whole, description=workload.name)
                found.extend(await one(ground, workload, console))
                bars.advance(whole)
        finally:
            await ground.stop()
            for remark in ground.remarks:
                console.print(f"[yellow]{escape(remark)}")
    return found


async def one(ground: Ground, workload: Workload, console: Console) -> list[Figures]:
    """A workload's figures, or none and why."""
    try:
        async with asyncio.timeout(WORKLOAD_WITHIN_S * (3 if workload.name == "pending-million" else 1)):
            found = await workload.run(ground)
    except Exception as error:  # noqa: BLE001  a workload that cannot be measured must not hide the others
        console.print(f"[red]{workload.name}: {escape(f'{type(error).__name__}: {error}')}")
        return []
    console.print(table(found, ""))
    return found


def main() -> int:
    """Exit 0 only when every workload ended and no promise was broken."""
    options = arguments()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of every topic that is made or deleted
    console = Console(width=None if sys.stdout.isatty() else 200)
    known = workloads(QUICK if options.quick else Sizes())
    if options.million:
        known.append(million())
    if options.list:
        for each in known:
            console.print(f"{each.name:28} {each.about}")
        return 0
    names = set(options.only.split(",")) if options.only else {each.name for each in known}
    if unknown := names - {each.name for each in known}:
        console.print(f"there is no workload {min(unknown)!r}: see --list")
        return 2
    chosen = [each for each in known if each.name in names]
    if options.profiles:
        options.profiles.mkdir(parents=True, exist_ok=True)
    try:
        found = uvloop.run(run(chosen, options, console))
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    shared = f"{os.cpu_count()} cores, shared by all processes; load average {psutil.getloadavg()[0]:.1f}"
    console.print(table(found, f"Clepsydra on this machine ({shared})"))
    if beside := ratios(found):
        console.print(beside)
    remarks(console, found)
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    return int(len({f.workload for f in found}) < len(chosen) or any(f.faults for f in found))


if __name__ == "__main__":
    sys.exit(main())
