"""Tables of a line for each row, as wide as the terminal: what is empty goes, then what matters least, then ends are cut."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from rich.markup import escape
from rich.table import Table

from gateway.output import console, table

GAP = 2
CUT_MIN = 16
"""A column that is cut is worth that much, or goes."""
WIDE = 10_000
Rows = Sequence[Sequence[str]]


class Columns(NamedTuple):
    """`may_go`: those that are there only where they have room, the last one first; `cut`: those shortened before that."""

    names: tuple[str, ...]
    may_go: tuple[str, ...]
    cut: tuple[str, ...]


def print_rows(columns: Columns, rows: Rows) -> None:
    """To standard output; a file or a pipe takes lines of any length."""
    out = console()
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = WIDE
    out.print(fitted(columns, rows, out.width))


def fitted(columns: Columns, rows: Rows, width: int) -> Table:
    """Rows in at most `width` characters, if ids and the like allow it."""
    may_go, cut = columns.may_go, columns.cut
    by_name = {name: [row[n] for row in rows] for n, name in enumerate(columns.names)}
    filled = [name for name in by_name if any(by_name[name])]
    natural = {name: max(len(name), *map(len, by_name[name])) for name in filled}
    least = {name: min(natural[name], CUT_MIN) if name in cut else natural[name] for name in filled}
    within = {name for name in filled if name not in may_go}
    for name in reversed(may_go):
        if name in filled and sum(least[k] + GAP for k in (*within, name)) <= width:
            within.add(name)
    kept = [name for name in filled if name in within]
    made = table(*kept)
    spare = width - sum(least[name] + GAP for name in kept)
    for column, name in zip(made.columns, kept, strict=True):
        if name in cut:
            column.width = least[name] + max(0, min(spare, natural[name] - least[name]))
            column.no_wrap, column.overflow = True, "ellipsis"
            spare -= column.width - least[name]
    for n in range(len(rows)):
        made.add_row(*(escape(by_name[name][n]) for name in kept))
    return made
