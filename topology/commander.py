"""Commands to the owners of messages and their answers, over Kafka: for the HTTP API and the benchmarks."""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from msgspec.structs import replace

from schemas.commands import Answer, AnyCommand
from schemas.ids import routing_key
from schemas.wire import encode
from topology.command_lane import CommandLane, LaneFullError
from topology.commander_errors import AnswerUnknownError, CommandError, CommandRefusedError
from topology.commander_links import AnswerListener, CommandWriter
from topology.partitions import partition_of
from topology.settings import Settings
from topology.tally import Tally

ANSWER_TIMEOUT_S = 10.0
SLICE = 2_000
SLICES_AHEAD = 8


class _Parcel(NamedTuple):
    """The commands of one slice for one partition: on their way, or refused."""

    command_ids: list[str]
    landed: "asyncio.Future[None] | None"
    refused: Callable[[str], CommandError] | None


class _Place(NamedTuple):
    """Where an answer is waited for."""

    tally: Tally
    number: int


class Commander:
    """Asks the owners of messages, over Kafka. Answers come into one partition of `answers`, read from its end.

    Into each partition one batch goes at a time, and all that came in meanwhile goes with the next: the more there
    is to do, the larger the batches.
    """

    def __init__(self, settings: Settings, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._partitions = settings.partitions
        self._timeout_s = answer_timeout_s
        self._reply_to = secrets.randbelow(settings.partitions)
        self._asked: dict[str, list[_Place]] = {}
        self._writer = CommandWriter(settings)
        self._listener = AnswerListener(settings, self._reply_to, self._answered)
        self._lanes = [CommandLane(number, self._writer.write) for number in range(settings.partitions)]
        self._stopping = False

    @property
    def ready(self) -> bool:
        """Whether commands can be written and their answers read."""
        return not self._stopping and self._writer.connected and self._listener.listening

    @property
    def waiting(self) -> int:
        """How many commands have no answer yet."""
        return len(self._asked)

    @property
    def reply_to(self) -> int:
        """The partition of `answers` that this commander reads."""
        return self._reply_to

    async def start(self) -> None:
        """Connects; from then on no answer is missed. Raises CommanderStartError: no Kafka, or no topics."""
        await self._listener.start()
        await self._writer.start()

    async def stop(self) -> None:
        """Writes what it has taken, fails those who still wait for an answer, disconnects. Twice does nothing."""
        if self._stopping:
            return
        self._stopping = True
        await asyncio.gather(*(lane.drained() for lane in self._lanes))
        for command_id, places in self._asked.items():
            for tally, number in places:
                tally.take(number, AnswerUnknownError.stopped(command_id))
        await self._writer.stop()
        await self._listener.stop()

    async def ask(self, command: AnyCommand) -> Answer:
        """Its owner's answer, within 10 s. Raises AnswerUnknownError (repeat it), CommandRefusedError (not written)."""
        try:
            async with asyncio.timeout(self._timeout_s):
                (answer,) = await self.ask_many([command])
        except TimeoutError:
            raise AnswerUnknownError.late(command.command_id, self._timeout_s) from None
        if isinstance(answer, CommandError):
            raise answer
        return answer

    async def ask_many(self, commands: Iterable[AnyCommand]) -> list[Answer | CommandError]:
        """The answers in the order of the commands; in place of a missing one, its error.

        It ends when all are answered, or when for 10 s none was. A `command_id` names one request.
        """
        addressed = [replace(command, reply_to=self._reply_to) for command in commands]
        tally = Tally(len(addressed))
        try:
            places = self._expect(addressed, tally)
            async for faults in self._load(addressed):
                for command_id, fault in faults.items():
                    tally.take(places[command_id], fault)
            await tally.until_quiet(self._timeout_s)
        finally:
            self._forget(addressed, tally)
        return tally.answers(lambda number: AnswerUnknownError.late(addressed[number].command_id, self._timeout_s))

    async def tell_many(self, commands: Iterable[AnyCommand]) -> None:
        """Returns when all are in Kafka; no answer is wanted. Raises the first CommandError: then repeat them all."""
        async for faults in self._load(commands):
            for fault in faults.values():
                raise fault

    async def _load(self, commands: Iterable[AnyCommand]) -> AsyncIterator[dict[str, CommandError]]:
        """Puts slices into the lanes, a few ahead of what is durable, giving way between; what failed of each slice."""
        under_way: deque[list[_Parcel]] = deque()
        for some in _slices(commands, SLICE):
            under_way.append(self._put(some))
            if len(under_way) > SLICES_AHEAD:
                yield await _failures(under_way.popleft())
            elif len(some) == SLICE:
                await asyncio.sleep(0)
        while under_way:
            yield await _failures(under_way.popleft())

    def _put(self, commands: Sequence[AnyCommand]) -> list[_Parcel]:
        shares: dict[int, list[AnyCommand]] = {}
        for command in commands:
            shares.setdefault(partition_of(routing_key(command.id), self._partitions), []).append(command)
        return [self._parcel(partition, share) for partition, share in shares.items()]

    def _parcel(self, partition: int, share: list[AnyCommand]) -> _Parcel:
        ids = [command.command_id for command in share]
        if self._stopping:
            return _Parcel(ids, None, CommandRefusedError.stopped)
        try:
            return _Parcel(ids, self._lanes[partition].put([encode(command) for command in share]), None)
        except LaneFullError:
            return _Parcel(ids, None, CommandRefusedError.backlog)

    def _expect(self, commands: Sequence[AnyCommand], tally: Tally) -> dict[str, int]:
        for number, command in enumerate(commands):
            self._asked.setdefault(command.command_id, []).append(_Place(tally, number))
        return {command.command_id: number for number, command in enumerate(commands)}

    def _answered(self, answer: Answer) -> None:
        places = self._asked.get(answer.command_id)
        if places:  # of a command that was asked twice each has an answer of its own
            tally, number = places.pop(0)
            tally.take(number, answer)
            if not places:
                del self._asked[answer.command_id]

    def _forget(self, commands: Sequence[AnyCommand], tally: Tally) -> None:
        """A caller leaves; others may wait for the same command."""
        for command in commands:
            others = [place for place in self._asked.pop(command.command_id, ()) if place.tally is not tally]
            if others:
                self._asked[command.command_id] = others


async def _failures(parcels: Iterable[_Parcel]) -> dict[str, CommandError]:
    faults: dict[str, CommandError] = {}
    for ids, landed, refused in parcels:
        if refused is not None:
            faults |= {each: refused(each) for each in ids}
        elif landed is not None:
            try:
                await landed
            except Exception as fault:  # noqa: BLE001  whatever kept the write from being confirmed
                faults |= {each: AnswerUnknownError.unconfirmed(each, fault) for each in ids}
    return faults


def _slices(commands: Iterable[AnyCommand], size: int) -> Iterator[list[AnyCommand]]:
    source = iter(commands)
    while some := list(islice(source, size)):
        yield some
