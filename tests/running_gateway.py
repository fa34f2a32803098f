"""The gateway's API in this process, on a real socket and a real Kafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
import uvicorn

from gateway.api import create_api
from gateway.parts import connect_parts
from topology.settings import Settings

KEY = "test-key-of-16-characters"


@asynccontextmanager
async def gateway(settings: Settings, key: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway of its own; `client.commander` is the gateway's."""
    async with AsyncExitStack() as parts:
        made = await connect_parts(settings, parts, pytest.fail, answer_timeout_s=2)
        app = create_api(made)
        server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="warning"))
        serving = asyncio.create_task(server._serve())
        while not server.started:  # noqa: ASYNC110  uvicorn tells it no other way
            await asyncio.sleep(0)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=20) as client:
            client.commander = made.commander
            yield client
        server.should_exit = True
        await serving
