"""What is known of each request when it is answered: its id, a line in the log, numbers for Prometheus."""

import re
from time import perf_counter
from uuid import uuid4

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from gateway.metrics import GatewayMetrics

ID_HEADER = b"x-request-id"
ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,100}")
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: told in the log only when they fail, or at the level debug."""

logger = structlog.get_logger(__name__)


def observe(app: FastAPI, metrics: GatewayMetrics) -> None:
    """Every request of the app, what the framework answers by itself too."""
    app.add_middleware(_Observed, metrics=metrics)


class _Observed:
    """Plain ASGI: it costs microseconds where Starlette's BaseHTTPMiddleware costs a task per request."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        answer = _Answer(scope, send, request_id)
        started = perf_counter()
        with bound_contextvars(request_id=request_id.decode()):
            try:
                await self._app(scope, receive, answer.send)
            finally:
                route = getattr(scope.get("route"), "path", "unknown")
                self._tell(scope, route, answer, perf_counter() - started)

    def _tell(self, scope: Scope, route: str, answer: "_Answer", seconds: float) -> None:
        method, status = scope["method"], answer.status
        self._metrics.answered(method, route, status, seconds)
        caller = scope.get("state", {}).get("caller")
        level = logger.warning if status >= 500 else logger.debug if scope["path"] in PROBES else logger.info
        level(
            "request",
            method=method,
            path=scope["path"],
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            bytes=answer.size,
            client=scope["client"][0] if scope.get("client") else None,
            key=caller.name if caller else None,
        )


class _Answer:
    """Passes an answer on, with the fields that every one has, and notes what it was."""

    def __init__(self, scope: Scope, send: Send, request_id: bytes) -> None:
        self._scope = scope
        self._send = send
        self._id = request_id
        self.status = 500
        self.size = 0

    async def send(self, message: Message) -> None:
        """As ASGI has it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), (ID_HEADER, self._id)]
            allowance = self._scope.get("state", {}).get("allowance")
            message = {**message, "headers": headers + (allowance.headers() if allowance else [])}
        else:
            self.size += len(message.get("body", b""))
        await self._send(message)


def _request_id(scope: Scope) -> bytes:
    """The client's own, where it gives one that can stand in a log; else a new one."""
    given: bytes = next((value for name, value in scope["headers"] if name == ID_HEADER), b"")
    return given if ID.fullmatch(given) else uuid4().hex.encode()
