"""The import: batches of lines through the bulk endpoint, a few at once, settled in the order of the file."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
from clepsydra_client import AsyncClient
from msgspec import Raw, Struct

from gateway.errors import UserError
from gateway.import_journal import Counts, Journal, Place
from gateway.import_tape import Entry, Tape
from gateway.problems import ProblemDetails
from schemas.wire import encode

LINES_AT_ONCE = 1_000
BYTES_AT_ONCE = 1024 * 1024
AHEAD = 4
"""Requests under way at once: while one is decided the next is read, and no more wait than owners take in a moment."""
LATER = frozenset({429, 503, 504})
"""Statuses of a line that say nothing about the line itself: it is sent again, with the same id."""
SHOWN_MAX = 10
PAUSES_S = (0.5, 1, 2, 4, 8, 15, 30)


class Told(Struct, frozen=True):
    """What the gateway answered to one line."""

    status: int
    result: str = ""
    problem: ProblemDetails | None = None


class Refused(Struct, frozen=True, kw_only=True):
    """A line that was refused, as it is kept: correct `given` and import it again."""

    line: int
    problem: ProblemDetails
    given: Raw


class Batch(Struct, frozen=True):
    """Some entries in a row, and where the file stood behind them."""

    entries: list[Entry]
    number: int
    offset: int
    digest: str


_told = msgspec.json.Decoder(Told)


def batches(entries: Iterable[Entry], tape: Tape) -> Iterator[Batch]:
    """Bounded in lines and bytes."""
    found: list[Entry] = []
    size = 0
    for entry in entries:
        found.append(entry)
        size += len(entry.text)
        if len(found) >= LINES_AT_ONCE or size >= BYTES_AT_ONCE:
            yield Batch(found, tape.number, tape.offset, tape.digest)
            found, size = [], 0
    yield Batch(found, tape.number, tape.offset, tape.digest)


Ask = Callable[[Sequence[Entry]], Awaitable[list[Told]]]
"""What becomes of entries, one answer for each."""


def asking(client: AsyncClient) -> Ask:
    """By the gateway, patiently."""

    async def once(entries: Sequence[Entry]) -> list[Told]:
        content = b"\n".join(entry.text for entry in entries)
        answer = await client.messages.bulk_ndjson(content, first_line=entries[0].number)
        found = _told.decode_lines(answer)
        if len(found) != len(entries):
            raise UserError(f"{len(entries)} lines were sent and {len(found)} answered: is --url right?")
        return found

    async def ask(entries: Sequence[Entry]) -> list[Told]:
        found = await once(entries)
        for pause_s in PAUSES_S:
            again = [place for place, told in enumerate(found) if told.status in LATER]
            if not again:
                return found
            await asyncio.sleep(pause_s)
            for place, told in zip(again, await once([entries[place] for place in again]), strict=True):
                found[place] = told
        raise UserError("the gateway cannot take more now: run the same command again to go on")

    return ask


class Refusals:
    """The refused lines of a file, in another beside it, which is made when there is a first one.

    `size` bytes of it are of lines that are settled; what a crash left behind them comes again. None: nowhere, for a trial.
    """

    def __init__(self, path: Path | None, size: int = 0) -> None:
        self.path, self.size = path, size
        self.first: list[Refused] = []
        self._file: BinaryIO | None = None
        if path is not None and path.exists():
            with path.open("r+b") as file:
                file.truncate(size)
            if not size:
                path.unlink()

    def add(self, refused: Refused) -> None:
        """One more; the first few are kept to be shown."""
        if len(self.first) < SHOWN_MAX:
            self.first.append(refused)
        if self.path is not None:
            self._file = self._file or self.path.open("ab")
            self.size += self._file.write(encode(refused) + b"\n")

    def flush(self) -> None:
        """Before the journal says that they are there."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """It is all there."""
        if self._file is not None:
            self._file.close()


class Import:
    """One run over a file. `moved` is called whenever more of it is settled."""

    def __init__(
        self,
        tape: Tape,
        journal: Journal,
        refusals: Refusals,
        *,
        url: str,
        counts: Counts,
        moved: Callable[[], None],
    ) -> None:
        self._tape, self._journal, self._refusals = tape, journal, refusals
        self._url, self._moved = url, moved
        self.counts = counts
        self.before = counts.lines
        self.offset = tape.offset

    async def run(self, entries: Iterable[Entry], ask: Ask) -> None:
        """Returns when every line is answered. Raises UserError, or what the client raises: then run it again."""
        under_way: deque[tuple[Batch, asyncio.Task[list[Told]]]] = deque()
        try:
            for batch in batches(entries, self._tape):
                sent = [entry for entry in batch.entries if entry.problem is None]
                under_way.append((batch, asyncio.create_task(_asked(ask, sent))))
                if len(under_way) >= AHEAD:
                    self._settle(under_way[0][0], await under_way[0][1])
                    under_way.popleft()
            while under_way:
                self._settle(under_way[0][0], await under_way[0][1])
                under_way.popleft()
        finally:
            for _, task in under_way:
                task.cancel()
            await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)
            self._refusals.close()
        self._journal.remove()

    def _settle(self, batch: Batch, told: list[Told]) -> None:
        answers = iter(told)
        for entry in batch.entries:
            self._count(entry, Told(422, problem=entry.problem) if entry.problem else next(answers))
        self.counts.lines += len(batch.entries)
        self.offset = batch.offset
        self._refusals.flush()
        self._journal.write(
            Place(
                url=self._url,
                number=batch.number,
                offset=batch.offset,
                digest=batch.digest,
                refused=self._refusals.size,
                counts=self.counts,
            )
        )
        self._moved()

    def _count(self, entry: Entry, told: Told) -> None:
        if told.problem is not None:
            self.counts.refused += 1
            self._refusals.add(Refused(line=entry.number, problem=told.problem, given=_given(entry.text)))
        elif told.result == "repeated":
            self.counts.repeated += 1
        else:
            self.counts.accepted += 1


async def _asked(ask: Ask, entries: Sequence[Entry]) -> list[Told]:
    return await ask(entries) if entries else []


def _given(text: bytes) -> Raw:
    """The line as it was sent; as a string, if it is no JSON."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Raw(encode(text.decode("utf-8", "replace")))
    return Raw(text)
