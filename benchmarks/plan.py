"""Which workloads there are, in the order in which they run."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from benchmarks.figures import Figures
from benchmarks.ground import Ground
from benchmarks.load import no_account, one_account, own_account
from benchmarks.workloads_asked import bulk, cancels
from benchmarks.workloads_due import herd, steady
from benchmarks.workloads_webhook import webhooks


class Sizes(NamedTuple):
    """How much of everything."""

    steady_s: int = 20
    small: int = 5_000
    large: int = 100_000
    pending: int = 300_000


QUICK = Sizes(steady_s=5, small=1_000, large=10_000, pending=20_000)


class Workload(NamedTuple):
    """A name for --only, a sentence, and what it does."""

    name: str
    about: str
    run: Callable[[Ground], Awaitable[list[Figures]]]


def workloads(n: Sizes) -> list[Workload]:
    """Those that are compared stand beside what they are compared with."""
    found: list[Workload] = []

    def add(name: str, about: str, run: Callable[[Ground, str], Awaitable[list[Figures]]]) -> None:
        found.append(Workload(name, about, lambda ground: run(ground, name)))

    add("bulk", f"{n.large:,} messages accepted durably, as fast as they go", lambda g, w: bulk(g, w, n.large))
    for rate in (1_000, 5_000):
        add(
            f"steady-{rate}",
            f"{rate:,} due each second for {n.steady_s} s",
            lambda g, w, rate=rate: steady(g, w, rate, n.steady_s),
        )
    for label, messages in (("5000", n.small), ("100000", n.large)):
        add(
            f"herd-{label}",
            f"{messages:,} due at one instant, without accounts",
            lambda g, w, messages=messages: herd(g, w, messages, no_account, 1),
        )
        for kind, account in (("one-account", one_account), ("own-accounts", own_account)):
            for couriers in (1, 2):
                add(
                    f"herd-{label}-{kind}-{couriers}",
                    f"{messages:,} due at one instant, {kind.replace('-', ' ')}, {couriers} courier(s)",
                    lambda g, w, m=messages, a=account, c=couriers: herd(g, w, m, a, c),
                )
    add("webhooks", f"{n.small:,} webhooks due at one instant", lambda g, w: webhooks(g, w, n.small))
    add("cancels", f"{n.small:,} cancels racing with the due time", lambda g, w: cancels(g, w, n.small, per_s=5_000))
    return found
