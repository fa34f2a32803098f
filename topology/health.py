"""What a worker tells others over HTTP: /healthz (it lives), /readyz (owns its share and has caught up), /metrics."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

METRICS_HEADERS = {"content-type": CONTENT_TYPE_LATEST}


class HealthPortError(Exception):
    """The port of /healthz, /readyz and /metrics is taken."""


class Readiness(NamedTuple):
    """`joined`: the group has given this worker its share; `waiting`: what of it is not caught up yet."""

    joined: bool
    owned: int
    waiting: Sequence[str]

    @property
    def ready(self) -> bool:
        """Whether messages of its whole share are sent in time. A share of nothing is one, too."""
        return self.joined and not self.waiting


class HealthServer:
    """Serves from `start` to `stop`."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, readiness: Callable[[], Readiness]) -> None:
        """`port` 0: any free one."""
        self._host, self._port = host, port
        self._registry, self._readiness = registry, readiness
        app = web.Application()
        app.add_routes(
            [web.get("/healthz", self._alive), web.get("/readyz", self._ready), web.get("/metrics", self._metrics)]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)

    async def start(self) -> str:
        """The address. Raises HealthPortError."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise HealthPortError(f"cannot listen on {self._host}:{self._port}: {error.strerror}") from error
        return f"http://{self._host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Twice does nothing."""
        await self._runner.cleanup()

    async def _alive(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, _: web.Request) -> web.Response:
        now = self._readiness()
        said = {"ready": now.ready, "joined": now.joined, "owned": now.owned, "waiting": list(now.waiting)}
        return web.json_response(said, status=200 if now.ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers=METRICS_HEADERS)
