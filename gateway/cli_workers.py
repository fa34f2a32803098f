"""`clepsydra worker scheduler | courier | archivist | leave`."""

import asyncio
from typing import Annotated

import typer

from gateway.errors import UserError
from gateway.output import AsJson, console, print_json
from topology.settings import load_settings

workers = typer.Typer(no_args_is_help=True, help="Run a worker until SIGTERM, or take one out of its group for good.")
Instance = Annotated[str | None, typer.Option(help="A name that it keeps over restarts: they then move nothing.")]
HealthPort = Annotated[
    int | None,
    typer.Option(
        min=0, max=65535, help="Of /healthz, /readyz and /metrics; 0: any free one; else CLEPSYDRA_HEALTH_PORT."
    ),
]


@workers.command()
def scheduler(instance: Instance = None, health_port: HealthPort = None) -> None:
    """Own messages: decide on commands, emit what is due.

    \b
    Examples:
      clepsydra worker scheduler
      clepsydra worker scheduler --instance scheduler-1 --health-port 9100
    """  # noqa: D301  click wants the character
    from topology.worker import run_scheduler  # noqa: PLC0415  what only this command needs must not slow the others

    run_scheduler(load_settings(instance=instance, health_port=health_port))


@workers.command()
def courier(
    channel: Annotated[
        list[str] | None, typer.Option(help="Only this channel; may be repeated.", show_default=False)
    ] = None,
    instance: Instance = None,
    health_port: HealthPort = None,
) -> None:
    """Send what is due, on all channels or some.

    \b
    Examples:
      clepsydra worker courier
      clepsydra worker courier --channel webhook --instance courier-1
    """  # noqa: D301  click wants the character
    from topology.worker import run_courier  # noqa: PLC0415

    run_courier(load_settings(instance=instance, health_port=health_port), channel)


@workers.command()
def archivist(instance: Instance = None, health_port: HealthPort = None) -> None:
    """Copy events into the archive, for lists and searches. It needs CLEPSYDRA_POSTGRES; nothing else waits for it.

    \b
    Examples:
      CLEPSYDRA_POSTGRES=postgresql://clepsydra:secret@db/clepsydra clepsydra worker archivist
    """  # noqa: D301  click wants the character
    from topology.worker import run_archivist  # noqa: PLC0415

    run_archivist(load_settings(instance=instance, health_port=health_port))


@workers.command()
def leave(
    name: Annotated[str, typer.Argument(help="What the worker was given as --instance.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Give up the seat of a named worker that will not come back. Stop the worker first.

    A worker with a name keeps its partitions while it is away, for CLEPSYDRA_SESSION_TIMEOUT. When there shall be
    fewer workers, this hands its partitions to the others at once. Exit 1 if it has no seat anywhere.

    \b
    Examples:
      clepsydra worker leave scheduler-2
    """  # noqa: D301  click wants the character
    from topology.group_seats import leave_groups  # noqa: PLC0415

    left = asyncio.run(leave_groups(load_settings(), name))
    if as_json:
        print_json({"instance": name, "left": left})
    if not left:
        raise UserError(f"no worker {name} has a seat: it was never named so, has left, or its session has ended")
    if not as_json:
        for group in left:
            console().print(f"[green]left[/]  {group}")
