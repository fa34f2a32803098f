"""NDJSON as an import reads it: lines go out as they are, with an id where they have none."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from gateway.import_tape import Entry, Tape
from schemas.wire import NOT_READ

BOM = b"\xef\xbb\xbf"


class _Named(Struct):
    id: Any = UNSET


_named = msgspec.json.Decoder(_Named)


def ndjson_entries(tape: Tape) -> Iterator[Entry]:
    """One entry per line that is not blank. What is wrong with a line, the gateway says."""
    for line in tape:
        text = line.removeprefix(BOM).strip() if tape.number == 1 else line.strip()
        if text:
            yield Entry(tape.number, with_id(text, tape))


def with_id(text: bytes, tape: Tape) -> bytes:
    """The line, with the id of its place if it is an object without one."""
    try:
        if _named.decode(text).id is not UNSET:
            return text
    except NOT_READ:
        return text
    rest = text[1:].lstrip()
    return b'{"id":"%s"%s%s' % (tape.id_here().encode(), b"" if rest[:1] == b"}" else b",", rest)
