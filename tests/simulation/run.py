"""`python tests/simulation/run.py --help`: seeds of the simulation, with all guards or without one."""

import argparse
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from guards import GUARDS, without
from sim_world import EVERYTHING, Scenario, World

TRACE = 40


def failure(seed: int, scenario: Scenario) -> tuple[str, list[str]] | None:
    """What this seed breaks, with how it came to it; None when all holds."""
    world = World(seed, scenario)
    try:
        world.run()
    except Exception as error:  # noqa: BLE001 - a broken guard may break anything
        return f"{type(error).__name__}: {error}"[:400], world.trace
    finally:
        with suppress(Exception):
            world.close()
    return None


def first_failure(name: str, seeds: range) -> tuple[int, str, list[str]] | None:
    """The first seed that shows what a guard is good for."""
    guard = GUARDS[name]
    with without((name, *guard.needs)):
        for seed in seeds:
            found = failure(seed, guard.world)
            if found:
                return seed, *found
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", choices=[*GUARDS, "each"], help="take this guard out, or each in turn")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=300, help="how many at most")
    parser.add_argument("--trace", action="store_true", help="print what led to the failure")
    asked = parser.parse_args()
    seeds = range(asked.seed, asked.seed + asked.seeds)
    if asked.without:
        names = list(GUARDS) if asked.without == "each" else [asked.without]
        return max(show(name, seeds, trace=asked.trace) for name in names)
    bad = 0
    for seed in seeds:
        found = failure(seed, replace(EVERYTHING, lease=bool(seed % 3)))
        if found:
            bad += 1
            print(f"seed {seed}: {found[0]}", *found[1][-TRACE:], sep="\n  ")
    print(f"{len(seeds)} seeds, {bad} failed")
    return int(bad > 0)


def show(name: str, seeds: range, *, trace: bool) -> int:
    """A line of the table of guards; 1 when no seed shows anything."""
    found = first_failure(name, seeds)
    if found is None:
        print(f"{name:<18} no seed of {len(seeds)} breaks anything")
        return 1
    seed, text, steps = found
    print(f"{name:<18} seed {seed:>3}  {text[:150]}", flush=True)
    if trace:
        print(*steps[-TRACE:], sep="\n  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
