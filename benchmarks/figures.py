"""What a workload found, and how it is judged: who was late, early, lost, repeated."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct


class Arrival(NamedTuple):
    """A message in its receiver's hands, by the receiver's clock."""

    key: str
    at_ms: float


class Figures(Struct, kw_only=True, omit_defaults=True):
    """One row of the report. None: not measured by this workload. `more`: figures of its own, the unit in the name."""

    workload: str
    system: str = "clepsydra"
    messages: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    drained_s: float | None = None
    early: int | None = None
    lost: int | None = None
    repeated: int | None = None
    untrue: int | None = None
    more: dict[str, float] = {}
    remarks: list[str] = []
    cpu_s: dict[str, float] = {}
    rss_mb: dict[str, float] = {}

    @property
    def faults(self) -> int:
        """How often a promise was broken."""
        return sum(n or 0 for n in (self.early, self.lost, self.repeated, self.untrue))


def percentile(ordered: list[float], share: float) -> float:
    """The nearest-rank percentile of values in ascending order."""
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered) + 0.5) - 1))]


def judged(workload: str, due_ms: Mapping[str, int], arrivals: Iterable[Arrival], system: str = "clepsydra") -> Figures:
    """Lateness is of a key's first arrival; `drained_s` from the last due time to the last first arrival."""
    first: dict[str, float] = {}
    repeated = early = 0
    for key, at_ms in arrivals:
        if key not in due_ms:
            continue
        early += at_ms < due_ms[key]
        if key in first:
            repeated += 1
        first[key] = min(at_ms, first.get(key, at_ms))
    late = sorted(at_ms - due_ms[key] for key, at_ms in first.items())
    found = Figures(workload=workload, system=system, messages=len(due_ms))
    found.early, found.lost, found.repeated = early, len(due_ms) - len(first), repeated
    if late:
        found.p50_ms, found.p99_ms, found.max_ms = percentile(late, 0.5), percentile(late, 0.99), late[-1]
        found.drained_s = (max(first.values()) - max(due_ms.values())) / 1000
    return found
