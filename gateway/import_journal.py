"""How far an import has come, in a small file beside the one that is imported: what a crash or Ctrl-C leaves."""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.errors import UserError


class Counts(Struct, kw_only=True):
    """What became of the lines so far."""

    lines: int = 0
    accepted: int = 0
    repeated: int = 0
    refused: int = 0


class Place(Struct, frozen=True, kw_only=True):
    """All up to here is answered: `number` lines, `offset` bytes of the file, `refused` bytes of the refused lines."""

    url: str
    number: int
    offset: int
    digest: str
    refused: int
    counts: Counts


class Journal:
    """Of one file; of standard input there is none, since it cannot be read again."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @classmethod
    def beside(cls, file: Path) -> "Journal":
        """`posts.csv.import` for posts.csv."""
        return cls(file.with_name(file.name + ".import"))

    def read(self, url: str) -> Place | None:
        """None when there is nothing to go on with. Raises UserError when it cannot be read, or is of another gateway."""
        if self._path is None or not self._path.exists():
            return None
        try:
            place = msgspec.json.decode(self._path.read_bytes(), type=Place)
        except msgspec.DecodeError as fault:
            raise UserError(f"{self._path} cannot be read ({fault}): give --restart, or move it away") from None
        if place.url != url:
            raise UserError(
                f"an import into {place.url} stopped behind line {place.number}: finish it, or give --restart"
            )
        return place

    def write(self, place: Place) -> None:
        """Whole or not at all. Raises UserError where the directory cannot be written."""
        if self._path is None:
            return
        written = self._path.with_name(self._path.name + ".new")
        try:
            written.write_bytes(msgspec.json.encode(place))
            os.replace(written, self._path)  # noqa: PTH105  as atomic as its name
        except OSError as fault:
            raise UserError(
                f"{self._path} cannot be written, and without it no import can be resumed: {fault}"
            ) from None

    def remove(self) -> None:
        """It is all done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
