"""Workloads of messages that fall due: evenly, or all at one instant."""

from benchmarks.emissions import emissions
from benchmarks.figures import Figures, judged
from benchmarks.ground import Cluster, Ground, now_ms
from benchmarks.load import Account, creates, keys_due, no_account, spread


async def steady(ground: Ground, name: str, rate: int, seconds: int) -> list[Figures]:
    """`rate` messages due each second."""
    async with ground.cluster(name) as cluster:
        due = spread(now_ms() + ground.lead_ms(rate * seconds), rate, seconds)
        return [await measured(cluster, name, due, no_account)]


async def herd(
    ground: Ground, name: str, messages: int, account: Account, couriers: int, **settings: str
) -> list[Figures]:
    """`messages` due at one instant."""
    async with ground.cluster(name, couriers, **settings) as cluster:
        due = [now_ms() + ground.lead_ms(messages)] * messages
        return [await measured(cluster, name, due, account)]


async def measured(cluster: Cluster, name: str, due: list[int], account: Account) -> Figures:
    """Accepted before they are due, at rest until then, then watched from afar until all have arrived."""
    commands = list(creates(name, due, account))
    meter = cluster.meter()
    accepted_s = await cluster.accept(commands)
    spare_s = (due[0] - now_ms()) / 1000
    cluster.ground.learn(len(due), accepted_s)
    accepting = meter.lap()
    arrivals = await cluster.arrived(keys_due(name, due))
    settled_s = await cluster.quiet()
    found = cluster.finish(judged(name, keys_due(name, due), arrivals), meter)
    found.more = {"accepted_per_s": len(due) / accepted_s, "spare_s": spare_s, "settled_s": settled_s}
    found.more |= await emissions(cluster.settings, "log", keys_due(name, due))
    found.more |= {f"accepting_cpu_{process}_s": cpu for process, cpu in accepting.items()}
    if spare_s < 0:
        found.remarks.append(
            f"acceptance ended {-spare_s:.1f} s after the first was due: lateness is that of acceptance"
        )
    return found
