"""Which workloads there are, in the order in which they run."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from benchmarks.figures import Figures
from benchmarks.ground import Ground
from benchmarks.load import Account, no_account, one_account, own_account
from benchmarks.nats_scheduler import nats_herd, nats_steady
from benchmarks.workloads_asked import bulk, cancels
from benchmarks.workloads_due import herd, steady
from benchmarks.workloads_import import import_while_due, imports
from benchmarks.workloads_pages import herd_with_pages
from benchmarks.workloads_pending import pending
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

    accepted = f"{n.large:,} messages accepted durably, as fast as they go"
    for schedulers in (1, 2):
        add(f"bulk-{schedulers}", f"{accepted}, schedulers: {schedulers}", partial(_bulk, n.large, schedulers))
    add(
        "import", f"{n.large:,} lines of a file, NDJSON and CSV, through a gateway", lambda g, w: imports(g, w, n.large)
    )
    add("import-while-due", f"{n.pending:,} lines imported while 500 are due each second",
        lambda g, w: import_while_due(g, w, n.pending, 500))  # fmt: skip
    evenly = f"due each second for {n.steady_s} s"
    add("steady-1000", f"1,000 {evenly}", lambda g, w: steady(g, w, 1_000, n.steady_s))
    add("steady-1000-nats", "the same on NATS JetStream", lambda g, w: nats_steady(g, w, 1_000, n.steady_s))
    add("steady-5000", f"5,000 {evenly}", lambda g, w: steady(g, w, 5_000, n.steady_s))
    for label, messages in (("herd-5000", n.small), ("herd-100000", n.large)):
        at_once = f"{messages:,} due at one instant"
        add(label, f"{at_once}, without accounts", partial(_herd, messages, no_account, 1))
        add(f"{label}-nats", "the same on NATS JetStream", partial(_nats_herd, messages))
        for couriers in (1, 2):
            add(f"{label}-one-account-{couriers}", f"{at_once}, one account, couriers: {couriers}",
                partial(_herd, messages, one_account, couriers))  # fmt: skip
            add(f"{label}-own-accounts-{couriers}", f"{at_once}, an account each, couriers: {couriers}",
                partial(_herd, messages, own_account, couriers))  # fmt: skip
    add("herd-100000-pages", f"{n.large:,} due at one instant, three pages of the dashboard open, and none",
        lambda g, w: herd_with_pages(g, w, n.large))  # fmt: skip
    add("webhooks", f"{n.small:,} webhooks due at one instant", lambda g, w: webhooks(g, w, n.small))
    add("cancels", f"{n.small:,} cancels racing with the due time", lambda g, w: cancels(g, w, n.small, per_s=5_000))
    add("pending", f"{n.pending:,} pending: memory, recovery", lambda g, w: pending(g, w, n.pending))
    return found


async def _bulk(messages: int, schedulers: int, ground: Ground, name: str) -> list[Figures]:
    return await bulk(ground, name, messages, schedulers)


async def _herd(messages: int, account: Account, couriers: int, ground: Ground, name: str) -> list[Figures]:
    return await herd(ground, name, messages, account, couriers)


async def _nats_herd(messages: int, ground: Ground, name: str) -> list[Figures]:
    return await nats_herd(ground, name, messages)


def million(name: str = "pending-million") -> Workload:
    """Only when asked for: it takes minutes."""
    about = "700,000 pending among 300,000 stubs: memory, recovery"
    return Workload(name, about, lambda ground: pending(ground, name, 1_000_000, stubs=300_000))
