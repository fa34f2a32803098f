"""`clepsydra windows`: due minutes as bars in a terminal."""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from gateway.cli_messages import URL, ApiKey, Url
from gateway.client import ApiClient
from gateway.dashboard.figures import span
from gateway.output import AsJson, console, print_json, table
from gateway.when import moment

BAR_MAX, BAR_MIN = 40, 8
GAP = 2
WATCH_S = 1.0
COLUMNS = ("minute", "", "pending", "in flight", "delivered", "retrying", "failed", "p50", "p99", "state")
LEFT_OUT = ("state", "p50", "retrying", "in flight")
"""Where a terminal is too narrow for all columns, these go, one after the other."""
PARTS = (
    ("delivered", "green"),
    ("retrying", "yellow"),
    ("dead", "red"),
    ("unknown", "red"),
    ("pending", "bright_black"),
)

LEGEND = (
    ("delivered", "green"),
    ("retrying", "yellow"),
    ("failed", "red"),
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
    asked = {name: moment(text, f"--{name}") for name, text in (("from", from_), ("to", to)) if text is not None}
    path = f"/v1/windows?{urlencode(asked)}" if asked else "/v1/windows"
    if as_json:
        print_json(client.call("GET", path))
    elif watch:
        _watch(client, path)
    else:
        console().print(shown(client.call("GET", path)["windows"], console().width))


def _watch(client: ApiClient, path: str) -> None:
    with Live(console=console(), auto_refresh=False) as live:
        try:
            while True:
                live.update(shown(client.call("GET", path)["windows"], live.console.width), refresh=True)
                time.sleep(WATCH_S)
        except KeyboardInterrupt:
            return


def shown(found: Sequence[dict[str, Any]], width: int) -> Group | Text:
    """A line of at most `width` characters for each minute with something in it."""
    if not found:
        return Text("nothing is due in this time")
    lines = [dict(zip(COLUMNS, _cells(window), strict=True)) for window in found]
    columns = columns_within(width, lines)
    most = max(_total(window) for window in found) or 1
    rows = table(*columns)
    for column, name in zip(rows.columns, columns, strict=True):
        column.no_wrap = True
        column.justify = "left" if name in ("minute", "", "state") else "right"
    space = min(BAR_MAX, width - _taken(columns, lines) - GAP)
    for window, line in zip(found, lines, strict=True):
        rows.add_row(*(bar(window, most, space) if name == "" else line[name] for name in columns))
    return Group(rows, legend())


def columns_within(width: int, lines: Sequence[Mapping[str, str]]) -> list[str]:
    """The columns that fit beside a bar of some length."""
    columns = list(COLUMNS)
    for name in LEFT_OUT:
        if _taken(columns, lines) + BAR_MIN + GAP > width:
            columns.remove(name)
    return columns


def _taken(columns: Sequence[str], lines: Sequence[Mapping[str, str]]) -> int:
    """How wide all but the bar are."""
    return sum(max(len(name), *(len(line[name]) for line in lines)) + GAP for name in columns if name)


def legend() -> Text:
    """What the colours mean."""
    told = Text("bars:", style="dim")
    for name, colour in LEGEND:
        told.append(f" █ {name}", style=colour)
    return told


def _cells(window: dict[str, Any]) -> tuple[str, ...]:
    """One text for each of COLUMNS; the bar comes later."""
    late = [span(window[name]) for name in ("lateness_ms_p50", "lateness_ms_p99")]
    failed = window["dead"] + window["unknown"]
    counts = [window["pending"], window["in_flight"], window["delivered"], window["retrying"], failed]
    minute = window["minute"][5:16].replace("T", " ")
    return (minute, "", *(f"{n:,}" if n else "" for n in counts), *late, window["life"])


def bar(window: dict[str, Any], most: int, space: int) -> Text:
    """Its parts by length, `space` characters for the most of all; what is there shows at least as a sliver."""
    drawn = Text()
    for name, colour in PARTS:
        if window[name]:
            drawn.append("█" * max(1, round(space * window[name] / most)), style=colour)
    drawn.truncate(space)
    return drawn


def _total(window: dict[str, Any]) -> int:
    return sum(int(window[name]) for name, _ in PARTS)
