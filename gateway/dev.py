"""`clepsydra dev`: everything on this machine, until Ctrl-C."""

import asyncio
import signal
from pathlib import Path

from rich.markup import escape

from gateway.local import LocalStack
from gateway.output import console
from topology.settings import Settings


async def run_dev(settings: Settings, data: Path, *, port: int, fresh: bool) -> None:
    """Runs until SIGINT or SIGTERM. Raises UserError, EmbeddedServerError."""
    out = console()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stack = LocalStack(
        data, port=port, fresh=fresh, tell=lambda line: out.print(escape(line)), settings=settings, dashboard=True
    )
    out.print("Starting Kafka, PostgreSQL, scheduler, courier, archivist and gateway ...")
    until_stop = asyncio.create_task(stop.wait())
    running = asyncio.create_task(_run(stack, stop))
    await asyncio.wait([running, until_stop], return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        out.print("\nStopping ...")
        await asyncio.wait([running], timeout=0.5)
        running.cancel()  # it may still be starting
        await asyncio.wait([running])
    until_stop.cancel()
    if not running.cancelled():
        running.result()


async def _run(stack: LocalStack, stop: asyncio.Event) -> None:
    async with stack:
        await stack.ready()
        _say(stack)
        await stop.wait()


def _say(stack: LocalStack) -> None:
    assert stack.settings.api_key is not None
    key = stack.settings.api_key.get_secret_value()
    console().print(
        f"""
[bold green]Clepsydra is up[/]
  API       {stack.url}  (reference: {stack.url}/docs)
  Dashboard {stack.dashboard_url or "off: install the extra, pip install 'clepsydra[dashboard]'"}
  API key   {key}
  Kafka     {stack.kafka.bootstrap}
  Postgres  {stack.postgres.url}
  Logs      {escape(str(stack.logs))}

In another terminal:
  export CLEPSYDRA_URL={stack.url} CLEPSYDRA_API_KEY={key} CLEPSYDRA_BROKERS={stack.kafka.bootstrap}
  clepsydra send --in 5s --channel log --body hello
  clepsydra list
  clepsydra topics tail events

Ctrl-C stops it; the data stays in {escape(str(stack.data))} (--fresh starts with none).
"""
    )
