"""An endpoint that is really dead, or hangs: it costs the courier a probe now and then, and gets all once it is back."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Self
from urllib.parse import unquote

import pytest
from aiohttp import web
from system import System, new_id, now_ms, say, until

from schemas.breaker import FAILURES
from schemas.commands import Create
from schemas.flow_limits import FlowLimits
from schemas.message import Retry
from schemas.outcomes import OutcomeRecord
from schemas.settings_records import Flow
from schemas.times import at
from schemas.wire import read_outcome
from topology.producer import Kafka
from topology.settings_table import SettingsTable

SHARE = 64
"""Sends at once to one endpoint: a quarter of the channel's 256."""
BEFORE_IT_OPENS = SHARE + FAILURES - 1
"""So many are under way, and each that fails before the fifth lets one more begin."""
MANY = 150
OTHERS = 300
EACH_SECOND = [timedelta(seconds=1)] * 50


class Endpoint:
    """One port: refuses connections until `serve`, then answers; while it `hangs`, it takes requests and says nothing."""

    def __init__(self) -> None:
        self.hangs = False
        self.hung: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/hook"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        self._socket.close()

    async def serve(self) -> None:
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket, backlog=2048).start()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        key = unquote(request.headers["webhook-id"])
        if self.hangs:
            self.hung[key] += 1
            await asyncio.sleep(600)
        self.taken[key] += 1
        return web.Response()


async def schedule(system: System, prefix: str, count: int, due_ms: int, **fields: Any) -> set[str]:
    """Their ids."""
    messages = [system.message(f"{prefix}-{n}", due_ms=due_ms, **fields) for n in range(count)]
    await system.insist(Create(command_id=new_id(), message=message, allow_past=True) for message in messages)
    return {message.id for message in messages}


async def attempts(system: System, prefix: str) -> int:
    """Sends that were begun, as the courier wrote down: one put off by a breaker is none."""
    found = [read_outcome(record.value) for record in await system.read(system.names.outcomes("webhook"))]
    return sum(isinstance(o, OutcomeRecord) and o.key.startswith(prefix) and o.started_at is not None for o in found)


def times(system: System, event: str, endpoint: Endpoint) -> int:
    """How often the courier has said so of this endpoint."""
    return sum(str(line["endpoint"]) in endpoint.url for line in system.courier.told(event))


async def others_p99_ms(system: System, due_ms: int) -> int:
    """How late those to others came in."""
    await until(lambda: len(system.receiver.arrivals) == OTHERS, 30)
    late = sorted(arrival.at_ms - due_ms for arrival in system.receiver.arrivals)
    return late[int(len(late) * 0.99) - 1]


async def test_a_dead_endpoint_costs_a_probe_now_and_then_and_gets_all_once_it_is_back(make_system):
    async with Endpoint() as endpoint, make_system() as system:
        due = now_ms() + 2_500
        ids = await schedule(system, "dead", MANY, due, to=endpoint.url, retry=Retry(delays=tuple(EACH_SECOND)))
        await schedule(system, "other", OTHERS, due)
        late = await others_p99_ms(system, due)
        await until(lambda: times(system, "endpoint_silent", endpoint) == 2, 30, system.courier.text)
        tried, probes = await attempts(system, "dead-"), times(system, "endpoint_silent", endpoint) - 1
        await endpoint.serve()
        await system.all_in("delivered", ids, 60)
        say(f"{tried} attempts of {MANY} refused ones within {(now_ms() - due) / 1_000:.0f} s, others p99 {late} ms")
        assert tried <= BEFORE_IT_OPENS + probes, "all others were put off, however often they came again"
        assert late < 2_000
        assert times(system, "endpoint_answers", endpoint) == 1
        assert endpoint.taken == {f"{id_}/0": 1 for id_ in ids}


@asynccontextmanager
async def time_limit(system: System, account: str, seconds: int) -> AsyncIterator[None]:
    """Of each attempt for an account."""
    kafka = Kafka(system.settings.brokers, client_id="limits")
    await kafka.start()
    table = SettingsTable(kafka, system.names.settings, pytest.fail)
    await table.start()
    await table.put(Flow(key=account, limits=FlowLimits(timeout=timedelta(seconds=seconds)), set_at=at(now_ms())))
    yield
    await table.stop()
    await kafka.stop()


async def test_a_hanging_endpoint_is_asked_by_one_probe_at_a_time_and_gets_all_once_it_answers(make_system):
    async with Endpoint() as endpoint, make_system() as system, time_limit(system, "slow", 2):
        endpoint.hangs = True
        await endpoint.serve()
        due = now_ms() + 2_500
        fields: dict[str, Any] = {"to": endpoint.url, "account": "slow", "retry": Retry(delays=tuple(EACH_SECOND))}
        ids = await schedule(system, "slow", MANY, due, **fields)
        await schedule(system, "other", OTHERS, due)
        late = await others_p99_ms(system, due)
        await until(lambda: times(system, "endpoint_silent", endpoint) == 2, 30, system.courier.text)
        asked = endpoint.hung.total()
        endpoint.hangs = False
        await system.all_in("delivered", ids, 60)
        say(f"{asked} of {MANY} requests hung within {(now_ms() - due) / 1_000:.0f} s, others p99 {late} ms")
        assert asked <= BEFORE_IT_OPENS + 1, "and one probe"
        assert late < 2_000
        assert times(system, "endpoint_answers", endpoint) == 1
        assert endpoint.taken == {f"{id_}/0": 1 for id_ in ids}
