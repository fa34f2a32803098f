"""CSV as an import reads it: the first row names the fields; what is wrong with a cell is told by line and column."""

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec

from gateway.errors import UserError
from gateway.import_tape import Entry, Tape
from gateway.problems import invalid
from gateway.requests import NewMessage
from schemas.wire import Fault, encode

BOM = "\ufeff"
DELIMITERS = ",;\t"
CELL_CHARACTERS_MAX = 1024 * 1024
DOTTED = ("headers", "metadata")
Cell = Callable[[str], Any]
Columns = Sequence[tuple[tuple[str, ...], Cell]]
"""The field of each column, and how its cells are read."""


class CellError(Exception):
    """A cell that cannot be what its column says."""


def csv_entries(tape: Tape, go_on: Callable[[], None] = lambda: None) -> Iterator[Entry]:
    """One entry per row that is not blank; `go_on` is called behind the header, to pass over rows.

    Raises UserError at once for a header that names no fields.
    """
    csv.field_size_limit(CELL_CHARACTERS_MAX)
    lines = (line.decode("utf-8", "surrogateescape") for line in tape)
    first = next(lines, "").removeprefix(BOM)
    delimiter = max(DELIMITERS, key=first.count)
    header = next(csv.reader(chain([first], lines), delimiter=delimiter, strict=True), [])
    columns = [_column(name.strip(), number) for number, name in enumerate(header, 1)]
    _check_header(header)
    go_on()
    return _entries(tape, csv.reader(lines, delimiter=delimiter, strict=True), columns)


def _entries(tape: Tape, rows: Iterator[list[str]], columns: Columns) -> Iterator[Entry]:
    while True:
        number = tape.number + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as fault:
            yield _refused(number, [], Fault("", f"is not CSV: {fault}", "close its quotes, and double quotes inside"))
            continue
        if any(cell.strip() for cell in row):
            yield _entry(number, row, columns, tape)


def _entry(number: int, row: Sequence[str], columns: Columns, tape: Tape) -> Entry:
    if len(row) > len(columns):
        fault = Fault("", f"has {len(row)} cells, the header {len(columns)}", "quote cells that hold the delimiter")
        return _refused(number, row, fault)
    message: dict[str, Any] = {}
    for cell, (path, read) in zip(row, columns, strict=False):
        if cell == "":
            continue
        try:
            _put(message, path, read(_utf8(cell)))
        except CellError as fault:
            return _refused(number, row, Fault(".".join(path), *fault.args))
    message.setdefault("id", tape.id_here())
    _tell_json(message)
    return Entry(number, encode(message))


def _put(message: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    if len(path) == 1:
        message[path[0]] = value
    else:
        message.setdefault(path[0], {})[path[1]] = value


def _tell_json(message: dict[str, Any]) -> None:
    """A body that is a JSON object or array gets its content type, as with `clepsydra send`."""
    body = message.get("body", "")
    if "content_type" not in message and body.lstrip()[:1] in ("{", "["):
        try:
            msgspec.json.decode(body)
        except msgspec.DecodeError:
            return
        message["content_type"] = "application/json"


def _refused(number: int, row: Sequence[str], fault: Fault) -> Entry:
    cells = [cell.encode("utf-8", "replace").decode() for cell in row]
    return Entry(number, encode(cells), invalid(fault).details)


def _utf8(cell: str) -> str:
    if not cell.isascii() and any("\udc80" <= character <= "\udcff" for character in cell):
        raise CellError("is not UTF-8", "save the file as UTF-8")
    return cell


# ---- the header


def _column(name: str, number: int) -> tuple[tuple[str, ...], Cell]:
    head, _, rest = name.partition(".")
    if head in DOTTED and rest:
        return (head, rest), str
    if name in CELLS:
        return (name,), CELLS[name]
    where = f"column {number} of the header"
    known = f"use {', '.join(CELLS)}, headers.NAME or metadata.NAME"
    raise UserError(f"{where} is {name!r}: {known}" if name else f"{where} has no name: {known}")


def _check_header(header: Sequence[str]) -> None:
    names = [name.strip() for name in header]
    if not names:
        raise UserError("the file is empty: its first line names the columns, as in id,due_at,channel,to,body")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"the header names {twice!r} twice: take one out")
    if "due_at" not in names:
        raise UserError("the header names no due_at: add a column with it, as in 2027-01-04T08:00:00+01:00")


def _whole(cell: str) -> int:
    try:
        return int(cell)
    except ValueError:
        raise CellError(f"is {cell!r}", "write a whole number") from None


def _flag(cell: str) -> bool:
    found = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(cell.strip().lower())
    if found is None:
        raise CellError(f"is {cell!r}", "write true or false")
    return found


def _tags(cell: str) -> list[str]:
    """Separated by semicolons."""
    return [tag.strip() for tag in cell.split(";") if tag.strip()]


def _json(cell: str) -> Any:
    try:
        return msgspec.json.decode(cell)
    except msgspec.DecodeError as fault:
        raise CellError(f"is not JSON: {fault}", "write it as in the API reference") from None


KINDS: dict[str, Cell] = {
    "priority": _whole, "allow_past": _flag, "tags": _tags,
    "targets": _json, "retry": _json, "headers": _json, "metadata": _json, "on_finished": _json,
}  # fmt: skip
CELLS: dict[str, Cell] = {name: KINDS.get(name, str) for name in NewMessage.__struct_fields__}
"""How each column's cells are read; a column not in KINDS is text."""
