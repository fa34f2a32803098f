"""Runs the HTTP API: connects first, serves, and on SIGTERM or Ctrl-C answers what has come in before it goes."""

import asyncio
import logging
import signal
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager

import uvicorn
import uvloop
from fastapi import FastAPI

from gateway.api import create_api
from gateway.listening import listening
from gateway.parts import connect_parts
from topology.collector import calm_collector
from topology.logs import set_up_logs
from topology.settings import Settings

GRACE_S = 12
"""For requests under way: a little longer than an answer may take."""


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn's own handling ends the process before the commander has written all."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Captures none."""
        yield


def run_gateway(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT; `announce` gets the address.

    Raises ApiKeyMissingError, CommanderStartError, PortTakenError.
    """
    set_up_logs(settings.log_level)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # until it is connected, its errors come as exceptions
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, announce))


async def _serve(settings: Settings, announce: Callable[[str], None]) -> None:
    with listening(settings.host, settings.port) as listener:
        async with AsyncExitStack() as parts:
            ending = _Ending()
            made = await connect_parts(settings, parts, ending)
            logging.getLogger("aiokafka").setLevel(logging.ERROR)
            server = _Server(_config(create_api(made)))
            ending.server = server
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
            calm_collector()
            announce(f"http://{settings.host}:{listener.getsockname()[1]}")
            await server.serve(sockets=[listener])
            ending.tell()


class _Ending:
    """Told what only a new process mends: the server stops taking requests, and the process says why it ends."""

    def __init__(self) -> None:
        self.server: uvicorn.Server | None = None
        self.fault: BaseException | None = None

    def __call__(self, fault: BaseException) -> None:
        self.fault = fault
        if self.server is not None:
            self.server.should_exit = True

    def tell(self) -> None:
        """Raises what it was told."""
        if self.fault is not None:
            raise self.fault


def _config(api: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        api,
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_S,
    )
