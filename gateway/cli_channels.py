"""`clepsydra channels`: what can be sent with, and what is missing."""

import typer
from rich.markup import escape

from gateway.cli_messages import URL, ApiKey, Url
from gateway.client import ApiClient
from gateway.output import AsJson, console, print_json, table


def channels(url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show each channel: whether receivers drop its repeats, its settings, what is missing to turn it on.

    \b
    Examples:
      clepsydra channels
      clepsydra channels --json | jq -r '.[] | select(.usable).name'
    """  # noqa: D301  click wants the character
    found = ApiClient(url, api_key).call("GET", "/v1/channels")["channels"]
    if as_json:
        print_json(found)
        return
    rows = table("channel", "repeats", "settings", "missing")
    for channel in found:
        honours = {True: "dropped by key", False: "held as unknown", None: ""}[channel["honours_key"]]
        settings = "\n".join(f"{one['name']}={one['value']}" for one in channel["settings"])
        name = channel["name"] if channel["usable"] else f"[dim]{escape(channel['name'])}[/]"
        rows.add_row(name, honours, escape(settings), escape(channel["missing"]))
    console().print(rows)


def add_channels_command(app: typer.Typer) -> None:
    """The command `channels`."""
    app.command(rich_help_panel="Operation")(channels)
