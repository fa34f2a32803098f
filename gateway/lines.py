"""The lines of a request's body as they come in: bounded in memory whatever its length, unpacked if it is gzip."""

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from fastapi import Request

from gateway.problems import ProblemError
from gateway.requests import REQUEST_BYTES_MAX

LINES_AT_ONCE = 500
UNPACKED_AT_ONCE = 256 * 1024
GZIP = 16 + zlib.MAX_WBITS
BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line, counted from 1, blank ones too; `text` is None where it is longer than a request may be."""

    number: int
    text: bytes | None


class NotGzipError(Exception):
    """The body says that it is gzip, and is not, or ends too early. Lines before were taken."""


class LineSplitter:
    """Gives whole lines of what it is fed; blank ones are left out, a too long one is passed over and named."""

    def __init__(self, first: int, size_max: int = REQUEST_BYTES_MAX) -> None:
        self._number = first
        self._first = first
        self._size_max = size_max
        self._rest = b""
        self._passing_over = False

    @property
    def number(self) -> int:
        """Of the line that comes next."""
        return self._number

    def feed(self, data: bytes) -> list[Line]:
        """The lines that are whole now."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        found = [line for text in whole for line in self._line(text)]
        if len(self._rest) > self._size_max:
            if not self._passing_over:
                found.append(Line(self._number, None))
            self._passing_over, self._rest = True, b""
        return found

    def end(self) -> list[Line]:
        """The last line, if no line end came after it."""
        rest, self._rest = self._rest, b""
        return list(self._line(rest))

    def _line(self, text: bytes) -> Iterator[Line]:
        number = self._number
        self._number += 1
        if self._passing_over:
            self._passing_over = False
        elif len(text) > self._size_max:
            yield Line(number, None)
        else:
            text = text.removeprefix(BOM) if number == self._first else text
            if text and not text.isspace():
                yield Line(number, text)


class Gunzip:
    """Unpacks a stream of gzip members in bounded steps."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(GZIP)
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What it unpacks to, in pieces of 256 KiB at most. Raises NotGzipError."""
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(GZIP)
            try:
                yield self._member.decompress(data, UNPACKED_AT_ONCE)
            except zlib.error as fault:
                raise NotGzipError(f"the body is not gzip, as Content-Encoding says: {fault}") from None
            data = self._member.unconsumed_tail or self._member.unused_data
            self._fed = True

    def end(self) -> None:
        """Raises NotGzipError if more should have come."""
        if self._fed and not self._member.eof:
            raise NotGzipError("the gzip body ends too early: its last lines may be missing")


def check_encoding(request: Request) -> bool:
    """Whether the body is gzip. Raises ProblemError 415 for another encoding."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        detail = f"Content-Encoding {encoding!r} is not known here: send the lines as they are, or as gzip"
        raise ProblemError(415, "unsupported_encoding", "The encoding is not known", detail)
    return encoding != "identity"


async def body_lines(request: Request, splitter: LineSplitter, *, gzip: bool) -> AsyncIterator[list[Line]]:
    """Some lines at a time, 500 at most, never empty, as they come. Raises NotGzipError, ClientDisconnect."""
    gunzip = Gunzip() if gzip else None
    async for part in request.stream():
        for data in gunzip.feed(part) if gunzip else (part,):
            for some in _portions(splitter.feed(data)):
                yield some
    if gunzip:
        gunzip.end()
    for some in _portions(splitter.end()):
        yield some


def _portions(lines: list[Line]) -> Iterator[list[Line]]:
    for start in range(0, len(lines), LINES_AT_ONCE):
        yield lines[start : start + LINES_AT_ONCE]
