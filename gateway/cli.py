"""`clepsydra`: the command line."""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from gateway.cli_archive import archive
from gateway.cli_channels import add_channels_command
from gateway.cli_dead import add_action_commands
from gateway.cli_export import export
from gateway.cli_flows import flows
from gateway.cli_import import import_
from gateway.cli_keys import keys
from gateway.cli_messages import URL, ApiKey, Url, add_message_commands
from gateway.cli_schedule_acts import add_schedule_acts
from gateway.cli_schedules import schedules
from gateway.cli_schema import schema
from gateway.cli_topics import topics
from gateway.cli_windows import windows
from gateway.cli_workers import workers
from gateway.errors import UserError, told
from gateway.output import AsJson, console, print_json, table
from gateway.version import version
from topology.clock import SystemClock
from topology.settings import load_settings

app = typer.Typer(
    name="clepsydra",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Scheduled messages on Kafka: sent when they are due, once for receivers that check the key.",
    epilog="Start with [bold]clepsydra demo[/], or [bold]clepsydra dev[/] and then [bold]clepsydra send[/].",
)
topics.command()(schema)
add_schedule_acts(schedules)
app.add_typer(schedules, name="schedules", rich_help_panel="Messages")
app.add_typer(archive, name="archive", rich_help_panel="Operation")
app.add_typer(topics, name="topics", rich_help_panel="Operation")
add_channels_command(app)
app.add_typer(flows, name="flows", rich_help_panel="Operation")
app.add_typer(workers, name="worker", rich_help_panel="Operation")
app.add_typer(keys, name="keys", rich_help_panel="Operation")
add_message_commands(app)
app.command(rich_help_panel="Operation")(windows)
add_action_commands(app)
app.command("import", rich_help_panel="Messages")(import_)
app.command(rich_help_panel="Messages")(export)

Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Of the HTTP API.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clepsydra {version()}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(rich_help_panel="On this machine")
def dev(
    data: Annotated[Path | None, typer.Option(help="Where Kafka, state and logs are kept.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the HTTP API; 0: any free one.")] = 8080,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start with no messages.")] = False,
) -> None:
    """Run everything: Kafka, PostgreSQL, scheduler, courier, archivist, gateway, dashboard. Ctrl-C stops it.

    \b
    Examples:
      clepsydra dev
      clepsydra dev --data ./data --port 9090 --fresh
    """  # noqa: D301  click wants the character
    from gateway.dev import run_dev  # noqa: PLC0415  what only this command needs must not slow the others

    settings = load_settings()
    asyncio.run(run_dev(settings, data or settings.data / "dev", port=port, fresh=fresh))


@app.command(rich_help_panel="On this machine")
def demo(
    messages: Annotated[int, typer.Option(min=1, max=100_000, help="All due at one instant.")] = 5_000,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the result there.")] = None,
) -> None:
    """Send the 8:00 spike to a receiver that checks keys. Exit 0 only if all arrived exactly once, none early.

    \b
    Examples:
      clepsydra demo
      clepsydra demo --messages 20000 --json result.json
    """  # noqa: D301  click wants the character
    from gateway.demo import run_demo  # noqa: PLC0415

    result = asyncio.run(run_demo(load_settings(), messages))
    if json_ is not None:
        json_.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    if not result.perfect:
        raise typer.Exit(1)


@app.command(rich_help_panel="Operation")
def gateway(
    host: Annotated[str | None, typer.Option(help="Address to bind to; else CLEPSYDRA_HOST, else loopback.")] = None,
    port: Port = None,
) -> None:
    """Run the HTTP API until SIGTERM. CLEPSYDRA_API_KEY is its first key; `clepsydra keys add` makes others.

    \b
    Examples:
      CLEPSYDRA_API_KEY="$(openssl rand -hex 16)" clepsydra gateway --port 8080
    """  # noqa: D301  click wants the character
    from gateway.serve import run_gateway  # noqa: PLC0415

    run_gateway(load_settings(host=host, port=port), lambda url: typer.echo(f"Clepsydra gateway on {url}"))


@app.command(rich_help_panel="Operation")
def dashboard(
    url: Url = URL,
    host: Annotated[str, typer.Option(help="Address to bind to.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8081,
) -> None:
    """Run the dashboard, a client of the HTTP API: people log in with an API key of their own.

    \b
    Examples:
      clepsydra dashboard
      clepsydra dashboard --url https://clepsydra.internal --host 0.0.0.0 --port 8081
    """  # noqa: D301  click wants the character
    try:
        from gateway.dashboard.serve import run_dashboard  # noqa: PLC0415
    except ModuleNotFoundError as fault:
        raise UserError(
            f"the dashboard is off ({fault}): install the extra, pip install 'clepsydra[dashboard]'"
        ) from None
    run_dashboard(url, host, port, lambda where: typer.echo(f"Clepsydra dashboard on {where}"))


@app.command(rich_help_panel="Operation")
def doctor(url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Find what is wrong with this set-up. Exit 1 if anything is.

    \b
    Examples:
      clepsydra doctor
    """  # noqa: D301  click wants the character
    from gateway.doctor import examine  # noqa: PLC0415

    findings = asyncio.run(examine(url, api_key, SystemClock().now_ms()))
    if as_json:
        print_json(findings)
    else:
        colours = {"ok": "green", "note": "yellow", "wrong": "red"}
        rows = table("", "check", "found")
        for finding in findings:
            remedy = f"\n[bold]{escape(finding.remedy)}[/]" if finding.remedy else ""
            verdict = f"[{colours[finding.verdict]}]{finding.verdict}[/]"
            rows.add_row(verdict, finding.check, escape(finding.found) + remedy)
        console().print(rows)
    if any(finding.verdict == "wrong" for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Entry point: an error of the user or of the set-up is told in a few words, and exit 1."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # its errors come as exceptions, too
    try:
        app(prog_name="clepsydra")
    except KeyboardInterrupt:
        sys.exit(130)
    except asyncio.CancelledError:  # SIGTERM
        sys.exit(143)
    except Exception as fault:
        text = told(fault, os.environ.get("CLEPSYDRA_BROKERS", "127.0.0.1:9092"))
        if text is None:
            raise
        typer.secho(f"error: {text}", err=True, fg=typer.colors.RED)
        sys.exit(1)


if __name__ == "__main__":
    main()
