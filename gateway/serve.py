"""Runs the HTTP API: connects first, serves, and on SIGTERM or Ctrl-C answers what has come in before it goes."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
import uvloop

from gateway.api import create_api
from gateway.errors import UserError
from topology.clock import SystemClock
from topology.commander import Commander
from topology.settings import Settings

GRACE_S = 12
"""For requests under way: a little longer than an answer may take."""


class PortTakenError(UserError):
    """The gateway cannot listen where it was told to."""


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
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, announce))


async def _serve(settings: Settings, announce: Callable[[str], None]) -> None:
    commander = Commander(settings)
    server = _Server(_config(settings, commander))
    with _listening(settings.host, settings.port) as listener:
        await commander.start()
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
            announce(f"http://{settings.host}:{listener.getsockname()[1]}")
            await server.serve(sockets=[listener])
        finally:
            await commander.stop()


def _config(settings: Settings, commander: Commander) -> uvicorn.Config:
    return uvicorn.Config(
        create_api(settings, commander, SystemClock()),
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_S,
    )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as fault:
        raise PortTakenError(
            f"cannot listen on {host}:{port}: {fault.strerror}; "
            "stop what listens there, or choose another with --port (0: any free one)"
        ) from None
