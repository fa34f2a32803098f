"""Metrics of the workers (DESIGN section 8), counted beside the logic in plain numbers and told when asked for.

The hot path counts each message: a client library's labelled counter costs 2 to 4 µs there, a dict entry a tenth.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from agents.archive_events import EventBatch
from schemas.outcomes import Outcome
from schemas.window_records import OwnerRecord
from schemas.windows import LATENESS_MS
from topology.clock import boot_ms

logger = structlog.get_logger(__name__)
PROGRESS_MS = 2_000


class OwnerMetrics(Collector):
    """Implements agents.ports.OwnerWatch."""

    def __init__(self, registry: CollectorRegistry, channels: Iterable[str] = ()) -> None:
        """Counts from nothing; what an alert counts is told from the start, `channels` one by one, as 0.

        Prometheus sees how much a counter has grown since its first sample, not what the first one was.
        """
        self.messages: Counter[tuple[str, str]] = Counter({("missed", ""): 0})
        self.messages.update({("dead", channel): 0 for channel in channels})
        self.recovery_ms: dict[int, int] = {}
        self.loads: dict[int, tuple[int, int, int]] = {}
        self.zombies = self.again = 0
        self.owners: dict[int, OwnerRecord] = {}
        registry.register(self)

    def decided(self, kind: str, channel: str, count: int) -> None:
        """Events written, by kind."""
        self.messages[kind, channel] += count

    def emitted(self, channel: str, count: int) -> None:
        """Due messages that are in Kafka now."""
        self.messages["emitted", channel] += count

    def zombie_rows(self, count: int) -> None:
        """Void rows found."""
        self.zombies += count

    def loading(self, partition: int, position: int, end: int) -> None:
        """A long load says each few seconds how far it is."""
        now = boot_ms()
        begun_ms, said_ms, first = self.loads.setdefault(partition, (now, now, position))
        if now - said_ms >= PROGRESS_MS:
            self.loads[partition] = (begun_ms, now, first)
            speed = (position - first) * 1000 // max(1, now - begun_ms)
            logger.info(
                "loading",
                partition=partition,
                position=position,
                end=end,
                percent=100 * position // max(1, end),
                per_s=speed,
            )
        if position >= end:
            del self.loads[partition]

    def recovered(self, partition: int, ms: int) -> None:
        """A partition is owned and caught up."""
        self.recovery_ms[partition] = ms

    def without_channel(self, channel: str) -> None:
        """Due, and no such channel here."""
        if not self.messages["no_channel", channel]:
            logger.error("channel_missing", channel=channel, remedy="install it here too; its messages wait until then")
        self.messages["no_channel", channel] += 1

    def overdue_acks(self, count: int) -> None:
        """Emissions without an ack."""
        self.again += count

    def owner(self, record: OwnerRecord) -> None:
        """How a partition's owner is."""
        self.owners[record.partition] = record

    def let_go(self, partition: int) -> None:
        """Owned here no more."""
        self.owners.pop(partition, None)

    def collect(self) -> Iterator[Metric]:
        """What was counted."""
        messages = CounterMetricFamily("clepsydra_messages", "Events by kind", labels=["event", "channel"])
        for labels, count in self.messages.items():
            messages.add_metric(list(labels), count)
        yield messages
        recovery = GaugeMetricFamily("clepsydra_recovery_seconds", "The last take-over", labels=["partition"])
        for partition, ms in self.recovery_ms.items():
            recovery.add_metric([str(partition)], ms / 1000)
        yield recovery
        yield CounterMetricFamily("clepsydra_zombie_writes", "Void rows of former owners", value=self.zombies)
        yield CounterMetricFamily("clepsydra_emitted_again", "No ack for 15 minutes", value=self.again)
        letters = CounterMetricFamily("clepsydra_dead_letters", "Given up, or in doubt", labels=["channel"])
        for channel, count in self._held().items():
            letters.add_metric([channel], count)
        yield letters
        yield from self._owned()

    def _held(self) -> dict[str, int]:
        held: dict[str, int] = {}
        for (kind, channel), count in self.messages.items():
            if kind in HELD:
                held[channel] = held.get(channel, 0) + count
        return held

    def _owned(self) -> Iterator[Metric]:
        owners = self.owners.values()
        yield GaugeMetricFamily("clepsydra_owned_partitions", "Partitions owned here", value=len(owners))
        yield GaugeMetricFamily("clepsydra_held_rows", "Rows being written", value=sum(o.held for o in owners))
        for name, text, label, field in (
            ("clepsydra_pending", "Live deliveries by how far off they are", "window", "pending"),
            ("clepsydra_in_flight", "Emitted and not acked", "channel", "in_flight"),
            ("clepsydra_waiting", "Due, with no place in flight free", "channel", "waiting"),
            ("clepsydra_paused", "Due and held back by a pause", "flow", "paused"),
        ):
            family = GaugeMetricFamily(name, text, labels=[label])
            summed: Counter[str] = Counter()
            for owner in owners:
                summed.update(getattr(owner, field))
            for key, count in summed.items():
                family.add_metric([key], count)
            yield family


HELD = ("dead", "unknown")


class StandingMetrics(Collector):
    """What the watchdog saw: how far behind each topic is, which partitions stand still, and whether the lease holds."""

    def __init__(self, registry: CollectorRegistry, lease: Callable[[], bool] | None, partitions: int) -> None:
        """`lease`: None where none is needed. `partitions`: so that an alert can tell that one is owned by nobody."""
        self._lease, self._partitions = lease, partitions
        self.lags: dict[str, int] = {}
        self.still: dict[str, int] = {}
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """As of the last look."""
        for name, text, by in (
            ("clepsydra_partition_lag", "Records of our partitions that are not finished", self.lags),
            ("clepsydra_stands_still", "Partitions of which nothing finishes or commits", self.still),
        ):
            family = GaugeMetricFamily(name, text, labels=["topic"])
            for topic, count in by.items():
                family.add_metric([topic], count)
            yield family
        if self._lease is not None:
            yield GaugeMetricFamily("clepsydra_lease_held", "Whether this process may act", value=int(self._lease()))
        yield GaugeMetricFamily("clepsydra_partitions", "Partitions of the timetable", value=self._partitions)


class CourierMetrics(Collector):
    """Implements agents.courier_watch.CourierWatch."""

    def __init__(self, registry: CollectorRegistry, channels: Iterable[str] = ()) -> None:
        """Counts from nothing, which is told from the start of each of `channels`: see OwnerMetrics."""
        self.deliveries: Counter[tuple[str, type]] = Counter()
        self.repeats: Counter[str] = Counter()
        self.voids: Counter[str] = Counter()
        self.hands: Counter[str] = Counter()
        self.lateness: dict[str, list[int]] = {channel: [0] * (len(LATENESS_MS) + 1) for channel in channels}
        self.lateness_ms: Counter[str] = Counter()
        registry.register(self)

    def delivered(self, channel: str, outcome: Outcome, lateness_ms: int) -> None:
        """An outcome is durable."""
        self.deliveries[channel, type(outcome)] += 1
        counts = self.lateness.get(channel)
        if counts is None:
            counts = self.lateness[channel] = [0] * (len(LATENESS_MS) + 1)
        counts[bisect_left(LATENESS_MS, lateness_ms)] += 1
        self.lateness_ms[channel] += lateness_ms

    def repeat_dropped(self, channel: str) -> None:
        """A turn that is known."""
        self.repeats[channel] += 1

    def void_dropped(self, channel: str) -> None:
        """An older epoch."""
        self.voids[channel] += 1

    def in_flight(self, channel: str, change: int) -> None:
        """Taken in hand or finished."""
        self.hands[channel] += change

    def collect(self) -> Iterator[Metric]:
        """What was counted."""
        deliveries = CounterMetricFamily("clepsydra_deliveries", "Attempts by outcome", labels=["channel", "outcome"])
        for (channel, kind), count in self.deliveries.items():
            deliveries.add_metric([channel, kind.__name__.lower()], count)
        yield deliveries
        lateness = HistogramMetricFamily(
            "clepsydra_lateness_seconds", "Begin of the send minus due", labels=["channel"]
        )
        for channel, counts in self.lateness.items():
            lateness.add_metric([channel], buckets(counts), self.lateness_ms[channel] / 1000)
        yield lateness
        for name, text, by in (
            ("clepsydra_duplicates_dropped", "Repeats that were not sent", self.repeats),
            ("clepsydra_void_dropped", "Due messages of older epochs", self.voids),
        ):
            family = CounterMetricFamily(name, text, labels=["channel"])
            for channel, count in by.items():
                family.add_metric([channel], count)
            yield family
        hands = GaugeMetricFamily("clepsydra_in_hand", "Messages in the courier's hands", labels=["channel"])
        for channel, count in self.hands.items():
            hands.add_metric([channel], count)
        yield hands


class ArchivistMetrics(Collector):
    """Implements agents.archive_events.ArchiveWatch."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Counts from nothing."""
        self.events = self.batches = self.tries = 0
        self.is_away = False
        registry.register(self)

    def stored(self, batch: EventBatch) -> None:
        """A batch is in the archive."""
        self.events += len(batch.placed)
        self.batches += 1
        if self.is_away:
            logger.info("archive_back")
        self.is_away = False

    def away(self, error: BaseException, tries: int) -> None:
        """Told once, then every hundred tries: it may be away for hours."""
        self.tries += 1
        if not self.is_away or tries % 100 == 0:
            logger.warning("archive_away", reason=str(error), remedy="nothing is lost: events wait in Kafka")
        self.is_away = True

    def collect(self) -> Iterator[Metric]:
        """What was counted."""
        yield CounterMetricFamily("clepsydra_archived_events", "Events in the archive", value=self.events)
        yield CounterMetricFamily("clepsydra_archive_batches", "Transactions", value=self.batches)
        yield CounterMetricFamily("clepsydra_archive_tries", "Failed tries while it was away", value=self.tries)
        yield GaugeMetricFamily("clepsydra_archive_up", "0 while the archive is away", value=not self.is_away)


def buckets(counts: list[int]) -> list[tuple[str, float]]:
    """Cumulative counts as Prometheus wants them."""
    total, found = 0, []
    for limit, count in zip((*(str(ms / 1000) for ms in LATENESS_MS), "+Inf"), counts, strict=True):
        total += count
        found.append((limit, float(total)))
    return found
