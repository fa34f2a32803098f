"""Many messages in few requests: cut into requests of bounded size, each of which can be repeated."""

import json
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from clepsydra_client.errors import problem_error
from clepsydra_client.exchange import Call
from clepsydra_client.given import NewMessage
from clepsydra_client.reading import read
from clepsydra_client.records import Accepted, Line
from clepsydra_client.writing import encoded, message_json

T = TypeVar("T")
BULK = "/v1/messages/bulk"
NDJSON = "application/x-ndjson"
LINES_MAX = 1_000
BYTES_MAX = 1024 * 1024


class Batches:
    """Collects messages; gives a call when there are enough for one."""

    def __init__(self, key: str | None = None, lines_max: int = LINES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._key = key or str(uuid4())
        self._lines_max, self._bytes_max = lines_max, bytes_max
        self._lines: list[bytes] = []
        self._size = 0
        self._before = 0

    def add(self, message: NewMessage) -> Call[list[Line]] | None:
        """A call once there are messages enough. Raises TypeError, ValueError for what is no JSON."""
        line = encoded(message_json(message))
        full = self._lines and self._size + len(line) > self._bytes_max
        call = self.rest() if full else None
        self._lines.append(line)
        self._size += len(line) + 1
        return call or (self.rest() if len(self._lines) >= self._lines_max else None)

    def rest(self) -> Call[list[Line]] | None:
        """A call with what is left; None when nothing is."""
        if not self._lines:
            return None
        call = bulk_call(self._lines, self._key, self._before + 1)
        self._before += len(self._lines)
        self._lines, self._size = [], 0
        return call


def bulk_call(lines: list[bytes], key: str, first_line: int = 1) -> Call[list[Line]]:
    """One request, a part of a larger whole: the key is the whole's, so a line's own is of the key and its number."""

    def read_lines(response: httpx.Response) -> list[Line]:
        answers = [line_of(json.loads(line)) for line in response.content.splitlines() if line]
        if [each.number for each in answers] != list(range(first_line, first_line + len(lines))):
            raise ValueError(f"{len(lines)} lines were asked and {len(answers)} answered")
        return answers

    return ndjson_call(b"\n".join(lines), key, first_line, read_lines)


def ndjson_call(content: bytes, key: str | None, first_line: int, read: Callable[[httpx.Response], T]) -> Call[T]:
    """A request of NDJSON as it is."""
    return Call(
        method="POST",
        path=BULK,
        read=read,
        params={"first_line": str(first_line)},
        content=content,
        content_type=NDJSON,
        key=key,
    )


def line_of(answer: dict[str, Any]) -> Line:
    """One line's answer: what was accepted, or a problem."""
    number, problem = answer["line"], answer.get("problem")
    if problem is not None:
        return Line(number=number, id=answer.get("id"), error=problem_error(answer["status"], problem))
    repeated = answer["result"] == "repeated"
    return Line(number=number, id=answer["id"], accepted=read(Accepted, answer | {"repeated": repeated}))
