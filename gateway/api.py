"""The HTTP API."""

from fastapi import FastAPI, Response

from agents.channels import retry_delays
from gateway.access import observe
from gateway.actions import actions_router, dead_letters_router
from gateway.answering import Answering
from gateway.bulk_routes import bulk_router
from gateway.channel_routes import channels_router
from gateway.docs_page import add_docs_page
from gateway.flow_routes import flows_router
from gateway.key_routes import keys_router
from gateway.keys import Gate, KeyRing
from gateway.lists import lists_router
from gateway.messages import messages_router
from gateway.metrics import GatewayMetrics
from gateway.openapi import describe
from gateway.parts import Parts
from gateway.problems import ProblemError, add_problem_handlers
from gateway.rates import Rates
from gateway.schedules import schedules_router
from gateway.sweep_routes import sweeps_router
from gateway.version import version
from gateway.windows import windows_router
from topology.channel_settings import channel_settings
from topology.commander import Commander

DESCRIPTION = """Scheduled messages on Kafka. Each request is answered by the one owner of the message, durably.

Send `Authorization: Bearer <API key>`, and an `Idempotency-Key` with what must happen once: then any request can be
repeated safely. Errors are RFC 9457 problem details, times RFC 3339 with an offset.
"""


TAGS = [{"name": name} for name in ("messages", "bulk", "dead letters", "schedules", "windows", "flows", "keys")]
"""The order of the page."""


def create_api(parts: Parts) -> FastAPI:
    """The app around parts that others start and stop. Raises ApiKeyMissingError without any API key."""
    settings, clock, commander, table = parts.settings, parts.clock, parts.commander, parts.table
    app = FastAPI(
        title="Clepsydra", version=version(), description=DESCRIPTION, openapi_tags=TAGS, docs_url=None, redoc_url=None
    )
    app.state.gate = Gate(KeyRing(settings.api_key, table, clock), Rates(settings.request_rate), clock)
    metrics = GatewayMetrics(lambda: commander.waiting)
    observe(app, metrics)
    add_problem_handlers(app)
    answering = Answering(commander)
    app.include_router(bulk_router(answering))  # before the ids: what these routes are called is no id
    app.include_router(sweeps_router(commander, answering, parts.archive, parts.event_ends, settings.partitions))
    app.include_router(lists_router(parts.archive))
    app.include_router(messages_router(commander, clock, retry_delays(channel_settings(settings), clock)))
    app.include_router(schedules_router(commander, settings.partitions, clock))
    app.include_router(windows_router(parts.windows, clock, settings.partitions))
    app.include_router(actions_router(commander))
    app.include_router(dead_letters_router(commander))
    app.include_router(channels_router(settings, table, clock))
    app.include_router(flows_router(table, parts.windows, clock))
    app.include_router(keys_router(table, clock))
    _add_operations(app, commander, metrics)
    add_docs_page(app)
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
