"""A gateway of a system, as a process of its own."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
from system import System, until
from system_process import Worker

from topology.embedded_process import free_port

KEY = "a-key-of-the-tests-000"


async def start_gateway(system: System) -> dict[str, str]:
    """Its CLEPSYDRA_URL and CLEPSYDRA_API_KEY, once it is ready; it ends with the system."""
    _, reached = await kept_gateway(system)
    return reached


async def kept_gateway(system: System) -> tuple[Worker, dict[str, str]]:
    """The process itself too, for tests that freeze it."""
    process, port = _gateway(system, "gateway")
    system.keep(process)
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url) as http:
        await _ready(process, http)
    return process, {"CLEPSYDRA_URL": url, "CLEPSYDRA_API_KEY": KEY}


class Gateway(NamedTuple):
    """Its process, and a client with the first API key."""

    worker: Worker
    http: httpx.AsyncClient
    port: int


@asynccontextmanager
async def started_gateway(system: System, name: str, **environment: str) -> AsyncIterator[Gateway]:
    """Ready when it is given; ends with the context."""
    process, port = _gateway(system, name, **environment)
    process.start()
    headers: Any = {"authorization": f"Bearer {KEY}"}
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as http:
            await _ready(process, http)
            yield Gateway(process, http, port)
    finally:
        process.close()


def _gateway(system: System, name: str, **environment: str) -> tuple[Worker, int]:
    port = free_port()
    settings = {"CLEPSYDRA_PORT": str(port), "CLEPSYDRA_API_KEY": KEY} | environment
    return system.worker("scheduler", name, [sys.executable, "-m", "gateway.cli", "gateway"], **settings), port


async def _ready(process: Worker, http: httpx.AsyncClient) -> None:
    async def ready() -> bool:
        assert process.running, process.text()[-3000:]
        try:
            return (await http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    await until(ready, tell=process.text)
