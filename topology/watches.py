"""Metrics of the workers (DESIGN section 8), counted beside the logic."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.outcomes import Outcome

LATENESS_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)


class OwnerMetrics:
    """Implements agents.ports.OwnerWatch."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Registers its metrics."""
        self.messages = Counter("clepsydra_messages", "Events by kind", ["event", "channel"], registry=registry)
        self.zombies = Counter("clepsydra_zombie_writes", "Void rows of former owners", registry=registry)
        self.recovery = Gauge("clepsydra_recovery_seconds", "The last take-over", ["partition"], registry=registry)
        self.again = Counter("clepsydra_emitted_again", "No ack for 15 minutes", registry=registry)

    def decided(self, kind: str, channel: str, count: int) -> None:
        """Events written, by kind."""
        self.messages.labels(kind, channel).inc(count)

    def emitted(self, partition: int, channel: str, count: int) -> None:
        """Due messages that are in Kafka now."""
        self.messages.labels("emitted", channel).inc(count)

    def zombie_rows(self, count: int) -> None:
        """Void rows found."""
        self.zombies.inc(count)

    def recovered(self, partition: int, ms: int, rows: int) -> None:
        """A partition is owned and caught up."""
        self.recovery.labels(str(partition)).set(ms / 1000)

    def overdue_acks(self, partition: int, count: int) -> None:
        """Emissions without an ack."""
        self.again.inc(count)


class CourierMetrics:
    """Implements agents.courier_watch.CourierWatch."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Registers its metrics."""
        self.deliveries = Counter("clepsydra_deliveries", "Attempts by outcome", ["channel", "outcome"], registry=registry)
        self.lateness = Histogram(
            "clepsydra_lateness_seconds", "Begin of the send minus due time", ["channel"],
            buckets=LATENESS_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self.repeats = Counter("clepsydra_duplicates_dropped", "Repeats not sent", ["channel"], registry=registry)
        self.voids = Counter("clepsydra_void_dropped", "Due messages of older epochs", ["channel"], registry=registry)
        self.hands = Gauge("clepsydra_in_flight", "Messages in hand", ["channel"], registry=registry)

    def delivered(self, channel: str, outcome: Outcome, lateness_ms: int) -> None:
        """An outcome is durable."""
        self.deliveries.labels(channel, type(outcome).__name__.lower()).inc()
        self.lateness.labels(channel).observe(max(0, lateness_ms) / 1000)

    def repeat_dropped(self, channel: str) -> None:
        """A turn that is known."""
        self.repeats.labels(channel).inc()

    def void_dropped(self, channel: str) -> None:
        """An older epoch."""
        self.voids.labels(channel).inc()

    def in_flight(self, channel: str, change: int) -> None:
        """Taken in hand or finished."""
        self.hands.labels(channel).inc(change)
