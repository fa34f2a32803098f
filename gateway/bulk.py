"""`POST /v1/messages/bulk`: one message per line in, one answer per line out; a bad line refuses itself only."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import datetime
from hashlib import blake2b
from uuid import uuid4

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from gateway.answering import Portion
from gateway.answers import problem_of
from gateway.asking import unanswered
from gateway.lines import Line, LineSplitter, NotGzipError
from gateway.problems import TYPE_PREFIX, ProblemDetails, ProblemError, invalid
from gateway.requests import Keyed, NewMessage, decoding_problem, field_fault, too_large
from schemas.commands import Answer, Create
from schemas.ids import id_fault
from schemas.lifecycle import MessageState
from schemas.wire import NOT_READ, encode
from topology.commander_errors import CommandError
from topology.tally import Found


class BulkAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one line: `status` is what the message sent alone would have got, `problem` why it was refused."""

    line: int
    id: str | None = None
    status: int
    result: str
    state: MessageState | None = None
    due_at: datetime | None = None
    revision: int | None = None
    problem: ProblemDetails | None = None


class Posted(Create, frozen=True, kw_only=True, tag="create"):
    """A create command around what was decoded, without checking it a second time."""

    message: NewMessage  # with its id, and without allow_past: the same on the wire


class Naming:
    """Ids of messages and commands for the lines of one request; the same again for a repeat with the same key."""

    def __init__(self, key: Keyed) -> None:
        self._key = key.key
        self._base = uuid4().hex

    def message_id(self, number: int) -> str:
        """For a line without one."""
        return str(uuid4()) if self._key is None else Keyed(f"{self._key}\n{number}").message_id()

    def command_id(self, line: Line) -> str:
        """With a key, other content of a line is another request, for its owner to judge."""
        if self._key is None:
            return f"{self._base}.{line.number}"
        content = f"BULK\0{line.number}\0{self._key}\0".encode() + (line.text or b"")
        return f"key:BULK:{blake2b(content, digest_size=16).hexdigest()}"


_new = msgspec.json.Decoder(NewMessage)


def read_line(line: Line, naming: Naming) -> Create | ProblemDetails:
    """The command of a line, or why it is none."""
    if line.text is None:
        return too_large("the line has more").details
    try:
        new = _new.decode(line.text)
    except NOT_READ as fault:
        return decoding_problem(fault, "write one JSON object per line, without brackets or commas between").details
    if new.id is UNSET:
        new = replace(new, id=naming.message_id(line.number))
    elif wrong := id_fault(new.id):
        return invalid(field_fault(f"`id` {wrong}")).details
    past = new.allow_past
    message = replace(new, allow_past=False) if past else new
    return Posted(command_id=naming.command_id(line), message=message, allow_past=past)


def portion(lines: Sequence[Line], naming: Naming) -> Portion:
    """The commands of some lines, and the lines that answer them, in order."""
    read = [read_line(line, naming) for line in lines]

    def told(found: Sequence[Found]) -> bytes:
        answers = iter(found)
        return b"".join(
            encode(
                _refused(line.number, None, one)
                if isinstance(one, ProblemDetails)
                else _answered(line.number, one.id, next(answers))
            )
            + b"\n"
            for line, one in zip(lines, read, strict=True)
        )

    return Portion([one for one in read if not isinstance(one, ProblemDetails)], told)


async def portions(lines: AsyncIterator[list[Line]], splitter: LineSplitter, naming: Naming) -> AsyncGenerator[Portion]:
    """Of a whole body; where it breaks off, the last answer says so."""
    try:
        async for some in lines:
            yield portion(some, naming)
    except NotGzipError as fault:
        broken = ProblemError(400, "not_gzip", "The body is not gzip", str(fault)).details
        number = splitter.number
        yield Portion((), lambda _: encode(_refused(number, None, broken)) + b"\n")


def _answered(line: int, message_id: str, found: Found) -> BulkAnswer:
    if isinstance(found, CommandError):
        return _refused(line, message_id, unanswered(found, message_id).details)
    if found.result != "accepted":
        return _refused(line, message_id, problem_of(found).details)
    return _accepted(line, found)


def _accepted(line: int, answer: Answer) -> BulkAnswer:
    return BulkAnswer(
        line=line,
        id=answer.id,
        status=200 if answer.repeated else 201,
        result="repeated" if answer.repeated else "accepted",
        state=answer.state,
        due_at=answer.due_at,
        revision=answer.revision,
    )


def _refused(line: int, message_id: str | None, problem: ProblemDetails) -> BulkAnswer:
    name = problem.type.removeprefix(TYPE_PREFIX)
    return BulkAnswer(line=line, id=message_id, status=problem.status, result=name, problem=problem)
