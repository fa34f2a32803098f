"""What the gateway measures of itself. Counts of messages are the scheduler's, who decides."""

from collections.abc import Callable
from time import perf_counter

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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

    def observe(self, app: FastAPI) -> None:
        """Measures every request of the app."""
        app.add_middleware(_Measured, metrics=self)

    def exposition(self) -> tuple[bytes, str]:
        """The metrics in Prometheus' text format, and its media type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class _Measured:
    """Plain ASGI: it costs microseconds where Starlette's BaseHTTPMiddleware costs a task per request."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            self._metrics.requests.labels(scope["method"], route, status).inc()
            self._metrics.seconds.labels(scope["method"], route).observe(perf_counter() - started)
