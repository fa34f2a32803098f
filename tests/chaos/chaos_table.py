"""What chaos ends with: a table by kind of fault, what was counted, and every promise that broke."""

import sys
from collections import Counter
from statistics import median
from typing import Self

from chaos_ledger import Fault, Promise
from chaos_world import World
from msgspec import Struct
from rich.console import Console
from rich.table import Table

BROKEN_SHOWN = 20


class Kind(Struct):
    rounds: int = 0
    recovered_s_max: float = 0.0
    late_ms_max: int = 0
    late_ms_p50: float = 0.0
    accepted_late_ms_max: int = 0
    repeats: int = 0


class Report(Struct):
    seed: int
    rounds: int
    seconds: float
    asked: int
    accepted: int
    accepted_after_due: int
    received: int
    cancelled: int
    edited: int
    too_late: int
    unanswered: int
    unknown: int
    lost: int
    early: int
    repeats_raw: int
    repeats_unexplained: int
    repeats_at_key_checking_receiver: int
    untrue: int
    archive: int
    lateness_ms: dict[str, float]
    by_fault: dict[str, Kind]
    exits: dict[str, int]
    skipped: dict[str, int]
    broken: list[str]

    @classmethod
    def of(
        cls,
        world: World,
        faults: list[Fault],
        skipped: Counter[str],
        unarchived: list[str],
        *,
        seed: int,
        seconds: float,
    ) -> Self:
        ledger = world.ledger
        broken = ledger.broken(faults) + [Promise("archive", said) for said in unarchived]
        count = Counter(promise.kind for promise in broken)
        answers = ledger.answers()
        first_ms = ledger.lateness_ms(0, sys.maxsize) or [0]
        return cls(
            seed=seed,
            rounds=len(faults),
            seconds=round(seconds, 1),
            asked=len(ledger.asked),
            accepted=sum(asked.created == "accepted" for asked in ledger.asked.values()),
            accepted_after_due=sum(a.created == "accepted" and not a.in_time() for a in ledger.asked.values()),
            received=len(ledger.by_id),
            cancelled=answers["cancel cancelled"],
            edited=answers["edit accepted"],
            too_late=answers["cancel too_late"] + answers["edit too_late"],
            unanswered=sum(asked.created is None for asked in ledger.asked.values())
            + answers["cancel unanswered"]
            + answers["edit unanswered"],
            unknown=sum(ledger.nobody_knows(asked) for asked in ledger.missing()),
            lost=count["lost"],
            early=count["early"],
            repeats_raw=sum(len(found) - 1 for found in ledger.repeats().values()),
            repeats_unexplained=count["unexplained repeat"],
            repeats_at_key_checking_receiver=count["repeat at the key-checking receiver"],
            untrue=count["untrue"],
            archive=count["archive"],
            lateness_ms={"p50": median(first_ms), "p99": first_ms[len(first_ms) * 99 // 100], "max": first_ms[-1]},
            by_fault=_by_fault(world, faults),
            exits=dict(world.exits),
            skipped=dict(skipped),
            broken=[f"{promise.kind}: {promise.said}" for promise in broken],
        )


def _by_fault(world: World, faults: list[Fault]) -> dict[str, Kind]:
    repeats = world.ledger.repeats().values()
    found: dict[str, Kind] = {}
    for fault in faults:
        kind = found.setdefault(fault.kind, Kind())
        late = world.ledger.lateness_ms(fault.begun_ms, fault.over_ms) or [0]
        accepted_late = world.ledger.lateness_ms(fault.begun_ms, fault.over_ms, in_time=False) or [0]
        kind.rounds += 1
        kind.recovered_s_max = max(kind.recovered_s_max, (fault.over_ms - fault.healed_ms) / 1000)
        kind.late_ms_max = max(kind.late_ms_max, late[-1])
        kind.accepted_late_ms_max = max(kind.accepted_late_ms_max, accepted_late[-1])
        kind.late_ms_p50 = max(kind.late_ms_p50, median(late))
        kind.repeats += sum(len(r) - 1 for r in repeats if fault.begun_ms - 3_000 <= r[0].at_ms <= fault.over_ms)
    return found


def shown(report: Report, console: Console) -> None:
    table = Table("fault", title=f"chaos, seed {report.seed}: {report.rounds} rounds in {report.seconds:.0f} s")
    for name in (
        "rounds",
        "caught up after, s",
        "late by p50, ms",
        "max, ms",
        "if accepted after due: max, ms",
        "raw repeats",
    ):
        table.add_column(name, justify="right")
    for name, kind in sorted(report.by_fault.items()):
        table.add_row(
            name,
            str(kind.rounds),
            f"{kind.recovered_s_max:.1f}",
            f"{kind.late_ms_p50:.0f}",
            str(kind.late_ms_max),
            str(kind.accepted_late_ms_max),
            str(kind.repeats),
        )
    console.print(table)
    figures = Table(show_header=False)
    for name in (
        "asked", "accepted", "accepted_after_due", "received", "cancelled", "edited", "too_late", "unanswered", "unknown", "lost",
        "early", "repeats_raw", "repeats_unexplained", "repeats_at_key_checking_receiver", "untrue", "archive",
    ):  # fmt: skip
        figures.add_row(name.replace("_", " "), f"{getattr(report, name):,}")
    figures.add_row("late by p50 / p99 / max, ms", " / ".join(f"{value:.0f}" for value in report.lateness_ms.values()))
    console.print(figures)
    for title, counts in (("processes ended", report.exits), ("left out", report.skipped)):
        for name, count in sorted(counts.items()):
            console.print(f"{title}: {count} x {name}")
    for line in report.broken[:BROKEN_SHOWN]:
        console.print(f"[red]broken[/] {line}")
    console.print(f"[red]{len(report.broken)} promises broke[/]" if report.broken else "[green]every promise held[/]")
