"""Running a worker in this process until it is told to stop."""

import asyncio
from collections.abc import Sequence
from typing import Any

import faust
import uvloop

from topology.archivist import create_archivist
from topology.courier import create_courier
from topology.logs import set_up_logs
from topology.scheduler import create_scheduler
from topology.settings import Settings

DISCONNECT_WITHIN_S = 8.0


def run_scheduler(settings: Settings) -> None:
    """The scheduler, until SIGTERM or SIGINT; exits the process."""
    run(lambda: create_scheduler(settings), settings)


def run_courier(settings: Settings, channels: Sequence[str] | None = None) -> None:
    """The courier of some channels, or of all; exits the process."""
    run(lambda: create_courier(settings, channels), settings)


def run_archivist(settings: Settings) -> None:
    """The archivist, until SIGTERM or SIGINT; exits the process. Raises ArchiveMissingError."""
    run(lambda: create_archivist(settings), settings)


def run(create: Any, settings: Settings) -> None:
    """Make the app in a loop of its own and work."""
    set_up_logs(settings.log_level)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # for the consumer's thread too
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = create()
    app.disconnect_within_s = DISCONNECT_WITHIN_S
    worker = QuietWorker(app, loop=loop, loglevel=None, logfile=None, redirect_stdouts=False, quiet=True)
    worker.execute_from_commandline()


class QuietWorker(faust.Worker):
    """Faust's worker without its banner and its logging set-up, which leaves the root logger at DEBUG."""

    def _setup_logging(self) -> None:
        """Ours stands."""

    def on_init_dependencies(self) -> Any:
        """The app without the blocking detector's log lines."""
        return super().on_init_dependencies()
