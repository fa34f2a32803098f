"""What the gateway measures of itself. Counts of messages are the scheduler's, who decides."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class GatewayMetrics:
    """A registry of its own, so that each app has its own numbers."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "clepsydra_http_requests", "Requests answered", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "clepsydra_http_request_seconds",
            "From the request's first byte to the end of its answer",
            ("method", "route"),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        gauge = Gauge("clepsydra_commands_waiting", "Commands without an answer yet", registry=self.registry)
        gauge.set_function(lambda: float(waiting()))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request."""
        self.requests.labels(method, route, status).inc()
        self.seconds.labels(method, route).observe(seconds)

    def exposition(self) -> tuple[bytes, str]:
        """The metrics in Prometheus' text format, and its media type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
