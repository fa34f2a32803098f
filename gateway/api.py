"""The HTTP API."""

from fastapi import Depends, FastAPI, Response

from agents.ports import Clock
from gateway.keys import key_check
from gateway.messages import messages_router
from gateway.metrics import GatewayMetrics
from gateway.openapi import describe
from gateway.problems import ProblemError, add_problem_handlers
from gateway.version import version
from topology.commander import Commander
from topology.settings import Settings

DESCRIPTION = """Scheduled messages on Kafka. Each request is answered by the one owner of the message, durably.

Send `Authorization: Bearer <API key>`, and an `Idempotency-Key` with what must happen once: then any request can be
repeated safely. Errors are RFC 9457 problem details, times RFC 3339 with an offset.
"""


def create_api(settings: Settings, commander: Commander, clock: Clock) -> FastAPI:
    """The app around a commander that others start and stop. Raises ApiKeyMissingError without an API key."""
    check = key_check(settings.api_key)
    app = FastAPI(title="Clepsydra", version=version(), description=DESCRIPTION, redoc_url=None)
    metrics = GatewayMetrics(lambda: commander.waiting)
    metrics.observe(app)
    add_problem_handlers(app)
    app.include_router(messages_router(commander, clock), dependencies=[Depends(check)])
    _add_operations(app, commander, metrics)
    describe(app)
    return app


def _add_operations(app: FastAPI, commander: Commander, metrics: GatewayMetrics) -> None:
    @app.get("/healthz", tags=["operations"], summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", tags=["operations"], summary="It can write commands and read their answers")
    async def readyz() -> dict[str, str]:
        if not commander.ready:
            detail = "commands cannot be written to Kafka, or their answers not be read: see the gateway's log"
            raise ProblemError(503, "not_ready", "Not ready", detail)
        return {"status": "ready"}

    @app.get("/metrics", tags=["operations"], summary="Prometheus metrics", response_class=Response)
    async def show_metrics() -> Response:
        content, media_type = metrics.exposition()
        return Response(content, media_type=media_type)
