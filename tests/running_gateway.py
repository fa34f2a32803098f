"""The gateway's API in this process, on a real socket and a real Kafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
import uvicorn

from gateway.api import create_api
from topology.clock import SystemClock
from topology.commander import Commander
from topology.producer import Kafka
from topology.settings import Settings
from topology.settings_table import SettingsTable
from topology.topics import TopicNames


@asynccontextmanager
async def gateway(settings: Settings, key: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway of its own; `client.commander` is the gateway's."""
    async with AsyncExitStack() as parts:
        commander = Commander(settings, answer_timeout_s=2)
        parts.push_async_callback(commander.stop)
        await commander.start()
        kafka = Kafka(settings.brokers)
        parts.push_async_callback(kafka.stop)
        await kafka.start()
        table = SettingsTable(kafka, TopicNames(settings.prefix).settings, pytest.fail)
        parts.push_async_callback(table.stop)
        await table.start()
        app = create_api(settings, commander, table, SystemClock())
        server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="warning"))
        serving = asyncio.create_task(server._serve())
        while not server.started:  # noqa: ASYNC110  uvicorn tells it no other way
            await asyncio.sleep(0)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=20) as client:
            client.commander = commander
            yield client
        server.should_exit = True
        await serving
