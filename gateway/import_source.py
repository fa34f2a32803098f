"""What is imported: a file or standard input, in one of the formats, from its beginning or from where it was left."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from gateway.errors import UserError
from gateway.import_csv import csv_entries
from gateway.import_journal import Place
from gateway.import_lines import ndjson_entries
from gateway.import_tape import Entry, Tape

STDIN = "-"


class Format(StrEnum):
    """How messages are written in a file."""

    NDJSON = "ndjson"
    CSV = "csv"


ENDINGS = {".ndjson": Format.NDJSON, ".jsonl": Format.NDJSON, ".json": Format.NDJSON, ".csv": Format.CSV}


class Source:
    """A file by its name; `-` is standard input, which has no path."""

    def __init__(self, name: str, format_: Format | None) -> None:
        """Raises UserError when the format is neither given nor told by the name's ending."""
        self.path = None if name == STDIN else Path(name)
        found = format_ or (Format.NDJSON if self.path is None else ENDINGS.get(self.path.suffix.lower()))
        if found is None:
            raise UserError(f"{name}: the format is not known by the name: give --format ndjson or --format csv")
        self.format = found

    @property
    def size(self) -> int | None:
        """In bytes, where it is known."""
        return self.path.stat().st_size if self.path is not None else None

    @property
    def refused(self) -> Path:
        """Where refused lines go."""
        name = "stdin" if self.path is None else self.path.name
        return (self.path.parent if self.path else Path()) / f"{name}.refused.ndjson"

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Its bytes. Raises UserError where it cannot be read."""
        if self.path is None:
            yield sys.stdin.buffer
            return
        try:
            file = self.path.open("rb")
        except OSError as fault:
            raise UserError(f"{self.path} cannot be read: {fault.strerror}") from None
        with file:
            yield file

    def entries(self, tape: Tape, place: Place | None) -> Iterator[Entry]:
        """Its messages, after the place where it was left. Raises UserError when it does not begin as it did then."""

        def go_on() -> None:
            if place and not tape.pass_over(place.offset, place.number, place.digest):
                raise UserError(
                    f"{self.path} has changed since its import stopped behind line {place.number}: --restart imports it "
                    "from its first line, and lines whose id and content were imported before count once"
                )

        match self.format:
            case Format.CSV:
                return csv_entries(tape, go_on)
            case Format.NDJSON:
                go_on()
                return ndjson_entries(tape)
