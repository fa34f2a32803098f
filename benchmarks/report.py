"""The figures as a table."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figures

NUMBERS = ("p50_ms", "p99_ms", "max_ms", "drained_s", "early", "lost", "repeated", "untrue")
COMPARED = ("p50_ms", "p99_ms", "max_ms", "drained_s")


def table(found: Sequence[Figures], title: str) -> Table:
    """One row per workload; CPU and memory as process: number."""
    made = Table(title=title, title_justify="left")
    for name in ("workload", "messages", *(n.replace("_", " ") for n in NUMBERS), "more", "CPU s", "RSS MB"):
        made.add_column(name, justify="left" if name in ("workload", "more", "CPU s", "RSS MB") else "right")
    for each in found:
        system = "" if each.system == "clepsydra" else f" ({each.system})"
        made.add_row(
            each.workload + system, f"{each.messages:,}", *(shown(getattr(each, n)) for n in NUMBERS),
            several(each.more), several(each.cpu_s), several(each.rss_mb),
        )  # fmt: skip
    return made


def ratios(found: Sequence[Figures]) -> Table | None:
    """Ours divided by theirs, from this same run; below 1 is better. None when nothing stands side by side."""
    ours = {each.workload: each for each in found if each.system == "clepsydra"}
    made = Table(title="Clepsydra / NATS JetStream (below 1: Clepsydra is sooner)", title_justify="left")
    for name in ("workload", *(n.replace("_", " ") for n in COMPARED)):
        made.add_column(name, justify="left" if name == "workload" else "right")
    for theirs in found:
        mine = ours.get(theirs.workload.removesuffix("-nats"))
        if theirs.system == "nats" and mine is not None:
            pairs = [(getattr(mine, n), getattr(theirs, n)) for n in COMPARED]
            made.add_row(mine.workload, *(shown(a / b) if a is not None and b else "-" for a, b in pairs))
    return made if made.row_count else None


def shown(value: float | None) -> str:
    """Whole numbers as they are, others with three figures or so."""
    if value is None:
        return "-"
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def several(values: dict[str, float]) -> str:
    """One line each; accepting CPU is for --json."""
    return "\n".join(
        f"{k.replace('_', ' ')} {shown(v)}" for k, v in values.items() if not k.startswith("accepting_cpu")
    )


def remarks(console: Console, found: Sequence[Figures]) -> None:
    """What was out of the ordinary."""
    for each in found:
        for remark in each.remarks:
            console.print(f"[yellow]{each.workload}: {remark}")
