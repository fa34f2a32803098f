"""Runs the dashboard until SIGTERM or Ctrl-C."""

import asyncio
import logging
import os
import secrets
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from nicegui import ui

from gateway.dashboard.pages import add_pages
from gateway.dashboard.session import Sessions
from gateway.listening import listening
from topology.clock import SystemClock

GRACE_S = 2
NICE = 5
"""On a machine that it shares with workers it stands back: a page may be a moment behind, what is due may not."""


def run_dashboard(url: str, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serves pages over the API at `url`; `announce` gets the address. Raises PortTakenError."""
    os.nice(NICE)
    logging.getLogger("nicegui").setLevel(logging.WARNING)
    asyncio.run(_serve(url, host, port, announce))


async def _serve(url: str, host: str, port: int, announce: Callable[[str], None]) -> None:
    clock = SystemClock()
    sessions = Sessions(url, clock)
    app = FastAPI(openapi_url=None)
    add_pages(sessions, clock)
    ui.run_with(app, title="Clepsydra", storage_secret=secrets.token_hex(32), show_welcome_message=False)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_S)
    with listening(host, port) as listener:
        announce(f"http://{host}:{listener.getsockname()[1]}")
        try:
            await uvicorn.Server(config).serve(sockets=[listener])
        finally:
            await sessions.stop()
