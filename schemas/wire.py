"""Records as bytes: packs (JSON arrays), versions, and faults that say what to mend."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from schemas.commands import Answer, AnyCommand
from schemas.due import DueMessage, Fence
from schemas.events import Event
from schemas.outcomes import Ack, CourierClaim, DoneBefore, EpochSeen, OutcomeRecord, Started
from schemas.placed import Placed
from schemas.rows import Claim, Progress, Row
from schemas.schedule_rows import ScheduleClaim, ScheduleRow
from schemas.settings_records import Setting
from schemas.versions import VERSION
from schemas.window_records import OwnerRecord, WindowRecord

PACK_COUNT_MAX = 200
PACK_BYTES_MAX = 512 * 1024


class Fault(Struct, frozen=True):
    """Why an input was refused: the field, what is wrong with its value, what to do."""

    field: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.field or 'record'}: {self.problem} ({self.remedy})"


class NewerRecordError(Exception):
    """A newer release wrote this: the process gives the partition up and exits, saying so."""


class UnreadableError(Exception):
    """A record of our own topics that is not what it should be."""


NOT_READ = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoders raise; the last one for JSON nested some hundreds deep."""


class _Peek(Struct):
    v: int = VERSION


encoder = msgspec.json.Encoder()
encode = encoder.encode
_peek = msgspec.json.Decoder(_Peek)
_raws = msgspec.json.Decoder(list[Raw])
_command = msgspec.json.Decoder(AnyCommand)
_commands = msgspec.json.Decoder(list[AnyCommand])
_dues = msgspec.json.Decoder(list[DueMessage | Fence])
_event = msgspec.json.Decoder(Event)
_acks = msgspec.json.Decoder(list[Ack])
_answers = msgspec.json.Decoder(list[Answer])
_timetable = msgspec.json.Decoder(Row | Claim | Progress)
_placed = msgspec.json.Decoder(Placed | Claim | Progress)
_placed_all = msgspec.json.Decoder(list[Placed | Claim | Progress])
_schedules = msgspec.json.Decoder(ScheduleRow | ScheduleClaim)
_window = msgspec.json.Decoder(WindowRecord | OwnerRecord)
_outcome = msgspec.json.Decoder(OutcomeRecord | CourierClaim | EpochSeen | Started | DoneBefore)
_setting = msgspec.json.Decoder(Setting)


def packs(elements: Iterable[bytes]) -> Iterator[bytes]:
    """JSON arrays of the elements, cut by count and size; never empty."""
    pack: list[bytes] = []
    size = 0
    for element in elements:
        if pack and (len(pack) == PACK_COUNT_MAX or size + len(element) > PACK_BYTES_MAX):
            yield b"[" + b",".join(pack) + b"]"
            pack, size = [], 0
        pack.append(element)
        size += len(element) + 1
    if pack:
        yield b"[" + b",".join(pack) + b"]"


def elements(value: bytes) -> list[Raw]:
    """The elements of a pack, or the one object that it is. Raises msgspec.DecodeError for what is no JSON."""
    return _raws.decode(value) if value.lstrip()[:1] == b"[" else [Raw(value)]


def read_commands(value: bytes | None) -> list[AnyCommand | Fault]:
    """The commands of a record, in order; a bad one becomes a Fault and leaves the others alone."""
    if not value:
        return [Fault("", "the record has no value", "write a command as a JSON object, or an array of them")]
    try:
        found = _commands.decode(value)
        if all(c.v == VERSION for c in found):
            return list(found)
    except NOT_READ:
        pass
    try:
        return [_read_command(raw) for raw in elements(value)]
    except NOT_READ as fault:
        return [Fault("", f"is not JSON: {fault}", "write a command as a JSON object, or an array of them")]


def _read_command(raw: Raw) -> AnyCommand | Fault:
    try:
        version = _peek.decode(raw).v
        if version != VERSION:
            return Fault("v", f"is {version}, this release knows {VERSION}", "upgrade Clepsydra, or write version 1")
        command: AnyCommand = _command.decode(raw)
    except NOT_READ as fault:
        return explain(fault)
    return command


REMEDIES = (
    ("timezone component", "give the offset, as in 2026-11-23T08:00:00+01:00 or ...Z"),
    ("RFC3339", "write RFC 3339, as in 2026-11-23T08:00:00Z"),
    ("unknown field", "see the list of fields in the API reference, or take it out"),
    ("missing required field", "add it"),
    (
        "Invalid value",
        "use one of the kinds create, edit, cancel, look, send_now, erase, retry_dead, discard, mark_sent",
    ),
    ("duration", "write an ISO 8601 duration, as in PT5S"),
    ("regex", "see the characters that are allowed in the API reference"),
    ("base64", "encode the bytes as standard base64"),
    ("id` has a control", "use printable characters"),
)


def explain(fault: Exception, root: str = "") -> Fault:
    """The field, problem and remedy of a decoding error."""
    text = str(fault)
    problem, _, path = text.partition(" - at `")
    path = path.rstrip("`").replace("$.", "", 1).replace("$", "", 1)
    path = path.removeprefix("message").removeprefix(".")
    named = re.search(r"`([A-Za-z0-9_]+)`", problem)
    if named and ("field" in problem or problem.startswith("`")):
        path = f"{path}.{named[1]}".lstrip(".")
    remedy = next((r for mark, r in REMEDIES if mark in problem), "correct the value and send it again")
    return Fault(f"{root}{path}", problem, remedy)


def _own(decoder: msgspec.json.Decoder[Any], value: bytes) -> Any:
    """Decode a record of our own. Raises NewerRecordError, UnreadableError."""
    try:
        found = decoder.decode(value)
    except NOT_READ as fault:
        check_version(value)
        raise UnreadableError(f"{fault}: {value[:200]!r}") from fault
    for record in found if isinstance(found, list) else (found,):
        if record.v != VERSION:
            check_version(value)
    return found


def check_version(value: bytes) -> None:
    """Raises NewerRecordError when any element has a version that this release does not know."""
    try:
        versions = {_peek.decode(raw).v for raw in elements(value)}
    except NOT_READ:
        return
    if versions - {VERSION}:
        raise NewerRecordError(
            f"a record of version {max(versions)} was found and this release knows {VERSION}: "
            f"a newer release wrote it; deploy that release here too. It reads {value[:120]!r}"
        )


def read_due(value: bytes) -> list[DueMessage | Fence]:
    """A pack of due messages and fences."""
    return _own(_dues, value)  # type: ignore[no-any-return]


def read_event(value: bytes | None) -> Event:
    """One lifecycle event."""
    return _own(_event, value or b"")  # type: ignore[no-any-return]


def read_acks(value: bytes) -> list[Ack]:
    """A pack of acks."""
    return _own(_acks, value)  # type: ignore[no-any-return]


def read_answers(value: bytes) -> list[Answer]:
    """A pack of answers."""
    return _own(_answers, value)  # type: ignore[no-any-return]


def read_timetable(value: bytes) -> Row | Claim | Progress:
    """One record of the timetable."""
    return _own(_timetable, value)  # type: ignore[no-any-return]


def read_placed(value: bytes) -> Placed | Claim | Progress:
    """The same, of a row only where it is found and counted: for loading many."""
    return _own(_placed, value)  # type: ignore[no-any-return]


def read_placed_all(values: Sequence[bytes]) -> list[Placed | Claim | Progress]:
    """read_placed of each, in one go; what is wrong with one is told as read_placed tells it."""
    try:
        found = _placed_all.decode(b"[" + b",".join(values) + b"]")
        if len(found) == len(values) and all(record.v == VERSION for record in found):
            return found
    except NOT_READ:
        pass
    return [read_placed(value) for value in values]


def read_window(value: bytes) -> WindowRecord | OwnerRecord:
    """One record of the windows."""
    return _own(_window, value)  # type: ignore[no-any-return]


def read_schedules(value: bytes) -> ScheduleRow | ScheduleClaim:
    """One record of the schedules."""
    return _own(_schedules, value)  # type: ignore[no-any-return]


def read_outcome(value: bytes) -> OutcomeRecord | CourierClaim | EpochSeen | Started | DoneBefore:
    """One record of a courier's memory."""
    return _own(_outcome, value)  # type: ignore[no-any-return]


def read_setting(value: bytes) -> Setting:
    """One record of the settings."""
    return _own(_setting, value)  # type: ignore[no-any-return]
