"""`clepsydra windows`: due minutes as bars in a terminal."""

import time
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.cli_messages import URL, ApiKey, Url
from gateway.client import ApiClient
from gateway.output import AsJson, console, print_json, table
from gateway.when import moment

WIDTH = 40
WATCH_S = 1.0
PARTS = (
    ("delivered", "green"),
    ("retrying", "yellow"),
    ("dead", "red"),
    ("unknown", "red"),
    ("pending", "bright_black"),
)


def windows(
    from_: Annotated[str | None, typer.Option("--from", help="RFC 3339; an hour ago if left out.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="RFC 3339, not included; in an hour if left out.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Keep it up to date until Ctrl-C.")] = False,
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show what is in each due minute: pending, in flight, delivered, failed, and how late it was.

    \b
    Examples:
      clepsydra windows --watch
      clepsydra windows --from 2026-11-24T07:00:00Z --to 2026-11-24T09:00:00Z --json
    """  # noqa: D301  click wants the character
    client = ApiClient(url, api_key)
    asked = {name: moment(text) for name, text in (("from", from_), ("to", to)) if text is not None}
    path = f"/v1/windows?{urlencode(asked)}" if asked else "/v1/windows"
    if as_json:
        print_json(client.call("GET", path))
    elif watch:
        _watch(client, path)
    else:
        console().print(shown(client.call("GET", path)["windows"]))


def _watch(client: ApiClient, path: str) -> None:
    with Live(console=console(), auto_refresh=False) as live:
        try:
            while True:
                live.update(shown(client.call("GET", path)["windows"]), refresh=True)
                time.sleep(WATCH_S)
        except KeyboardInterrupt:
            return


def shown(found: Sequence[dict[str, Any]]) -> Group | Text:
    """A line for each minute with something in it."""
    if not found:
        return Text("nothing is due in this time")
    most = max(_total(window) for window in found) or 1
    rows = table("minute", "", "pending", "in flight", "delivered", "retrying", "failed", "p50", "p99", "state")
    for name in range(2, 9):
        rows.columns[name].justify = "right"
    for window in found:
        _add(rows, window, most)
    return Group(rows, legend())


def legend() -> Text:
    """What the colours mean."""
    told = Text("bars: ", style="dim")
    for name, colour in PARTS:
        told.append(f"█ {name}  ", style=colour)
    return told


def _add(rows: Table, window: dict[str, Any], most: int) -> None:
    late = ["-" if window[name] is None else f"{window[name]} ms" for name in ("lateness_ms_p50", "lateness_ms_p99")]
    failed = window["dead"] + window["unknown"]
    counts = [window["pending"], window["in_flight"], window["delivered"], window["retrying"], failed]
    minute = window["minute"][:16].replace("T", " ")
    rows.add_row(minute, bar(window, most), *(f"{n:,}" if n else "" for n in counts), *late, window["life"])


def bar(window: dict[str, Any], most: int) -> Text:
    """Its parts by length; what is there shows at least as a sliver."""
    drawn = Text()
    for name, colour in PARTS:
        if window[name]:
            drawn.append("█" * max(1, round(WIDTH * window[name] / most)), style=colour)
    return drawn


def _total(window: dict[str, Any]) -> int:
    return sum(int(window[name]) for name, _ in PARTS)
