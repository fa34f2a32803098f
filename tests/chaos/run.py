"""Chaos: real processes, real brokers, faults drawn by a seed, and a ledger that nothing may contradict.

make chaos                                   50 rounds, 500 messages a second
make chaos ARGS="--rounds 10 --seed 7"
python tests/chaos/run.py --fault kill_broker --fault freeze_broker --brokers 3 --rounds 6
"""

import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "chaos")]

import msgspec
import typer
import uvloop
from chaos_faults import FAULTS, KIND, ONE_BROKER_ONLY, Unable
from chaos_ledger import Fault
from chaos_table import Report, shown
from chaos_traffic import now_ms
from chaos_world import World
from rich.console import Console
from system import until

from topology.worker import set_up_logs

WARM_UP_S = 3
CALM_MS = 1_500
RECOVER_WITHIN_S = 60
BETWEEN_S = 1.0
QUIET_WITHIN_S = 240
ASKED_FOR_MAX = 50
"""When no more are missing than that, their owners are asked what is known of them."""
ARCHIVE_LOOKS = 20
console = Console(stderr=True)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="One fault each.")] = 50,
    rate: Annotated[int, typer.Option(min=1, help="Messages a second.")] = 500,
    seed: Annotated[int, typer.Option(help="The same faults in the same order; else one is drawn and told.")] = -1,
    brokers: Annotated[int, typer.Option(help="1, or 3: replication 3, min ISR 2.")] = 1,
    fault: Annotated[list[str] | None, typer.Option(help=f"Only these: {', '.join(FAULTS)}.")] = None,
    partitions: Annotated[int, typer.Option(min=1)] = 4,
    session: Annotated[float, typer.Option(min=1, help="Session time-out, s.")] = 3,
    minutes: Annotated[float, typer.Option(help="No round begins after so long.")] = 30,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the result there.")] = None,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep logs and data there.")] = None,
) -> None:
    """Exit 1 if a promise broke."""
    set_up_logs("error")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    seed = random.randrange(1_000_000) if seed < 0 else seed
    unknown = set(fault or ()) - FAULTS.keys()
    if unknown:
        raise typer.BadParameter(f"there is no fault {unknown.pop()}: use some of {', '.join(FAULTS)}")
    kinds = _drawn(random.Random(seed), rounds, sorted(fault or FAULTS), many=brokers > 1)
    if not kinds:
        raise typer.BadParameter(f"none of these can be made with {brokers} brokers: {', '.join(fault or ())}")
    with tempfile.TemporaryDirectory(prefix="chaos-") as made:
        directory = Path(made) if keep is None else keep / f"{now_ms()}"
        directory.mkdir(parents=True, exist_ok=True)
        world = World(
            directory.resolve(), brokers=brokers, rate=rate, seed=seed, partitions=partitions, session_s=session
        )
        report = uvloop.run(_run(world, kinds, seed, minutes))
    shown(report, Console())
    if json_ is not None:
        json_.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    raise typer.Exit(1 if report.broken else 0)


def _drawn(rng: random.Random, rounds: int, kinds: list[str], *, many: bool) -> list[str]:
    """Each kind as often as the others, in an order of the seed's."""
    possible = [kind for kind in kinds if not (many and kind in ONE_BROKER_ONLY)]
    drawn: list[str] = []
    while possible and len(drawn) < rounds:
        drawn += rng.sample(possible, len(possible))
    return drawn[:rounds]


async def _run(world: World, kinds: list[str], seed: int, minutes: float) -> Report:
    console.print(f"seed {seed}, {len(kinds)} rounds at {world.rate} messages/s; starting ...")
    faults: list[Fault] = []
    skipped: Counter[str] = Counter()
    begun = time.monotonic()
    async with world:
        await asyncio.sleep(WARM_UP_S)
        rng = random.Random(seed)
        for number, kind in enumerate(kinds, 1):
            if time.monotonic() - begun > minutes * 60:
                skipped["no time left"] += len(kinds) - number + 1
                break
            found = await _round(world, kind, random.Random(rng.random()), skipped)
            if found is not None:
                faults.append(found)
                took = (found.over_ms - found.begun_ms) / 1000
                console.print(f"{number:3} {kind:40} over after {took:5.1f} s {found.note}")
        await world.traffic.stop()
        console.print("no more is asked; waiting until all is quiet ...")
        await _quiet(world)
        unarchived = await _unarchived(world)
        return Report.of(world, faults, skipped, unarchived, seed=seed, seconds=time.monotonic() - begun)


async def _round(world: World, kind: str, rng: random.Random, skipped: Counter[str]) -> Fault | None:
    await asyncio.sleep(rng.uniform(BETWEEN_S / 2, BETWEEN_S * 1.5))
    found = Fault(kind=kind, begun_ms=now_ms(), excuses=KIND[kind])
    try:
        await FAULTS[kind](world, rng)
    except Unable as why:
        console.print(f"[yellow]{kind} left out: {why}[/]")
        skipped[f"{kind}: {why}"] += 1
    found.healed_ms = now_ms()
    await asyncio.sleep(world.session_s + 0.5)  # what a silent death does shows when its session has ended
    try:
        await until(lambda: world.behind_ms(now_ms()) < CALM_MS, RECOVER_WITHIN_S)
    except AssertionError:
        found.note = f"not caught up within {RECOVER_WITHIN_S} s, behind by {world.behind_ms(now_ms())} ms"
    found.over_ms = now_ms()
    return found


async def _quiet(world: World) -> None:
    """All that must arrive has, or it is lost; what may be missing is asked for."""
    ledger = world.ledger

    async def quiet() -> bool:
        left = list(ledger.outstanding.values())
        if 0 < len(left) <= ASKED_FOR_MAX:
            states = await world.system.states([asked.id for asked in left])
            ledger.states |= {id_: state for id_, state in states.items() if state == "unknown"}
        return all(ledger.nobody_knows(asked) for asked in left)

    try:
        await until(quiet, QUIET_WITHIN_S)  # retries too
    except AssertionError:
        missing = [asked.id for asked in ledger.missing()]
        console.print(f"[red]{len(missing)} are missing, among them {missing[:5]}[/]")
        ledger.states = await world.system.states(missing[:1_000])
    await asyncio.sleep(2)  # a repeat would come now


async def _unarchived(world: World) -> list[str]:
    """What the archive still has wrong when it has had time to catch up."""
    for _ in range(ARCHIVE_LOOKS):
        if not (found := world.ledger.unarchived(await world.archived())):
            break
        await asyncio.sleep(3)
    return found


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
