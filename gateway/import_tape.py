"""A file read once, line by line, with where it stands and a digest of all before: what an import resumes by."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import BinaryIO

from msgspec import Struct

from gateway.problems import ProblemDetails

PIECE = 1024 * 1024


class Entry(Struct, frozen=True):
    """One message of a file: the number of its first line, its text as it is sent, or why there is nothing to send."""

    number: int
    text: bytes
    problem: ProblemDetails | None = None


class Tape:
    """The lines of a file. `number` lines and `offset` bytes were read; `digest` is of all of these bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = blake2b(digest_size=16)
        self.number = 0
        self.offset = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._file:
            self.number += 1
            self.offset += len(line)
            self._hash.update(line)
            yield line

    @property
    def digest(self) -> str:
        """The same for the same beginning, in whatever pieces it was read."""
        return self._hash.hexdigest()

    def id_here(self) -> str:
        """For a message without one: the same each time that this file is read, and of no other line of it."""
        return f"import-{self.digest}"

    def pass_over(self, offset: int, number: int, digest: str) -> bool:
        """Go on after what was read before; False if the file does not begin as it did."""
        while self.offset < offset and (piece := self._file.read(min(PIECE, offset - self.offset))):
            self.offset += len(piece)
            self._hash.update(piece)
        self.number = number
        return self.offset == offset and self.digest == digest
