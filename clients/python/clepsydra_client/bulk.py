"""Many messages in few requests: cut into requests of bounded size, each of which can be repeated."""

import json
from typing import Any
from uuid import uuid4

import httpx

from clepsydra_client.errors import problem_error
from clepsydra_client.exchange import Call
from clepsydra_client.given import NewMessage
from clepsydra_client.reading import read
from clepsydra_client.records import Accepted, Line
from clepsydra_client.writing import encoded, message_json

BULK = "/v1/messages/bulk"
NDJSON = "application/x-ndjson"
LINES_MAX = 1_000
BYTES_MAX = 1024 * 1024


class Batches:
    """Collects messages; gives a call when there are enough for one. Its key is the whole load's, and its number."""

    def __init__(self, key: str | None = None, lines_max: int = LINES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._key = key or str(uuid4())
        self._lines_max, self._bytes_max = lines_max, bytes_max
        self._lines: list[bytes] = []
        self._size = 0
        self._before = 0
        self._number = 0

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
        self._number += 1
        call = bulk_call(self._lines, f"{self._key}/{self._number}", self._before)
        self._before += len(self._lines)
        self._lines, self._size = [], 0
        return call


def bulk_call(lines: list[bytes], key: str, before: int = 0) -> Call[list[Line]]:
    """One request; its lines are numbered from 1 after those `before`."""

    def read_lines(response: httpx.Response) -> list[Line]:
        answers = [json.loads(line) for line in response.content.splitlines() if line]
        if len(answers) != len(lines):
            raise ValueError(f"{len(lines)} lines were asked and {len(answers)} answered")
        return [line_of(before + number, answer) for number, answer in enumerate(answers, 1)]

    return Call(method="POST", path=BULK, read=read_lines, content=b"\n".join(lines), content_type=NDJSON, key=key)


def line_of(number: int, answer: dict[str, Any]) -> Line:
    """One line's answer: what was accepted, or a problem."""
    problem = answer.get("error")
    if problem is not None:
        return Line(number=number, id=answer.get("id"), error=problem_error(problem.get("status", 422), problem))
    return Line(number=number, id=answer["id"], accepted=read(Accepted, answer))
