"""What commands print: for people with Rich, for programs as JSON."""

from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def print_json(value: Any) -> None:
    """One JSON document on one line."""
    typer.echo(msgspec.json.encode(value).decode())


def console() -> Console:
    """Standard output; without highlighting, so that ids stay as they are."""
    return Console(highlight=False, soft_wrap=True)


def table(*columns: str) -> Table:
    """A plain table."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
