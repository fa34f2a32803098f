"""`clepsydra channels`: what can be sent with, and what is missing."""

from collections.abc import Iterator, Mapping
from typing import Any

import typer
from rich.markup import escape

from gateway.cli_messages import URL, ApiKey, Url
from gateway.client import ApiClient
from gateway.output import AsJson, console, print_json, table

UNSURE = {True: "tried again: its receivers drop repeats by their key", False: "held as unknown, for a person"}


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
    rows = table("channel", "")
    for channel in found:
        name = channel["name"] if channel["usable"] else f"[dim]{escape(channel['name'])}[/]"
        rows.add_row(name, escape("\n".join(_lines(channel))))
    console().print(rows)


def _lines(channel: Mapping[str, Any]) -> Iterator[str]:
    """Whether it is on; what becomes of a send that nobody knows the outcome of; its settings."""
    yield f"off: {channel['missing']}" if channel["missing"] else "on"
    if channel["honours_key"] is not None:
        yield f"a send of unknown outcome is {UNSURE[channel['honours_key']]}"
    for one in channel["settings"]:
        yield f"{one['name']}={one['value']}"


def add_channels_command(app: typer.Typer) -> None:
    """The command `channels`."""
    app.command(rich_help_panel="Operation")(channels)
