"""One round of an owner: what was decided, and the order in which it becomes durable and visible (rule 1)."""

import asyncio
import re
from collections.abc import Iterable

from agents.inbox import Item, Stray
from agents.ports import Change, Record, ScheduleChange, Seat
from agents.recovery import row_record
from schemas.commands import Announce, Answer, Create
from schemas.decisions import Asked, Decision, Lapsed, Released, Unsaid, Withheld
from schemas.events import Event, Unreadable
from schemas.ids import routing_key
from schemas.occurrence_past import was_missed
from schemas.rows import PROGRESS_KEY, Progress, Row
from schemas.schedule_commands import SchedulePut
from schemas.schedule_decisions import AskedSchedule
from schemas.times import at
from schemas.wire import encode, packs

Alone = Lapsed | Withheld | Released | Unsaid
"""An owner's own findings: nobody asks for them again."""
UNSAID_MAX = 600
"""So many in a round: all their ids, of 200 characters at most, go into one record."""
NAMED_FIRST = re.compile(r"`(\w+)`")
"""A refusal that is about one field begins with its name."""


class Round:
    """Collected while a slice is decided; written by the owner in the order rows, then everything else."""

    def __init__(self, epoch: int, partition: int) -> None:
        """An empty round of this epoch."""
        self.epoch, self.partition = epoch, partition
        self.changes: list[Change] = []
        self.ids: set[str] = set()
        self.events: list[Record] = []
        self.dead: list[Record] = []
        self.answers: dict[int, list[bytes]] = {}
        self.forwards: dict[int, list[Record]] = {}
        self.finished: list[Item] = []
        self.kinds: dict[tuple[str, str], int] = {}
        self.schedules: list[ScheduleChange] = []
        """Changed by commands: durable before their answers."""
        self.cursors: list[ScheduleChange] = []
        """Moved by tending: durable after the events of what was made, which a crash would else keep from being told."""
        self.tended: set[str] = set()
        """Schedules of which a row is written."""
        self.unsaid: dict[str, None] = {}
        """Ids of what changes without a command or ack that would be replayed: named in Progress until it is told."""
        self.touched: set[str] = set()
        """Schedules of which an occurrence is written."""

    def take(self, item: Item, old: Row | None, decision: Decision) -> None:
        """A decision: the input is finished once all of this is durable."""
        if decision.writes:
            if "@" in item.id:
                self.touched.add(routing_key(item.id))
                if was_missed(decision.row) and not was_missed(old):
                    self._count("missed", "")  # it was made and could not begin: as one that was never made
            value = None if decision.row is None else encode(decision.row)
            self.changes.append(Change(item.id, old, decision.row, value))
        if decision.events:
            if isinstance(item.given, Alone):
                self.unsaid[item.id] = None
            self.tell_events(decision.events)
        for letter in decision.dead:
            self.dead.append(Record(letter.id.encode(), encode(letter)))
        if decision.answer is not None and isinstance(item.given, Asked):
            self.answer(item.given, decision.answer)
        self.finished.append(item)

    @property
    def is_full(self) -> bool:
        """Whether one more would be too many to tell again after a crash."""
        return len(self.unsaid) >= UNSAID_MAX

    def is_full_for(self, item: Item) -> bool:
        """Whether an input must wait for the next round."""
        return self.is_full and isinstance(item.given, Alone)

    def tell_events(self, events: Iterable[Event]) -> None:
        """To be told once the rows are durable."""
        for event in events:
            self.events.append(Record(event.id.encode(), encode(event)))
            self._count(event.kind, event.channel or "")

    def _count(self, kind: str, channel: str) -> None:
        self.kinds[kind, channel] = self.kinds.get((kind, channel), 0) + 1

    def answer(self, asked: Asked | AskedSchedule, answer: Answer) -> None:
        """To whom asked; a refusal that nobody waits for goes to the dead letters."""
        if asked.command.reply_to is not None:
            self.answers.setdefault(asked.command.reply_to, []).append(encode(answer))
        elif answer.result == "refused" and isinstance(asked.command, Create | Announce | SchedulePut):
            self.refuse(refusal(asked, answer, self.partition))

    def pass_on(self, given: Stray | Unreadable) -> None:
        """What is not to be decided here."""
        if isinstance(given, Stray):
            self.forward(given)
        else:
            self.refuse(given)

    def refuse(self, letter: Unreadable) -> None:
        """An input that cannot be decided goes to the dead letters, with what is wrong with it."""
        key = f"{letter.topic}/{letter.partition}/{letter.offset}"
        self.dead.append(Record(key.encode(), encode(letter)))

    def forward(self, stray: Stray) -> None:
        """A command for another partition."""
        record = Record(stray.command.id.encode(), encode(stray.command))
        self.forwards.setdefault(stray.home, []).append(record)

    def records(self, commands: int, acks: int) -> list[Record]:
        """The rows, and with them how far all before this round is done (`watermark`)."""
        progress = Progress(epoch=self.epoch, commands=commands, acks=acks, unsaid=tuple(self.unsaid))
        rows = [row_record(change, self.epoch) for change in self.changes]
        return [*rows, Record(PROGRESS_KEY.encode(), encode(progress))]

    async def tell(self, seat: Seat) -> None:
        """Events, dead letters, answers and forwarded commands: after the rows, never beside them (`row_then_event`)."""
        writes = []
        if self.events:
            writes.append(seat.events.append(self.events))
        if self.dead:
            writes.append(seat.dead_letters.append(self.dead))
        for partition, found in self.answers.items():
            if partition < seat.partitions:
                writes.append(seat.answers(partition).append([Record(None, pack) for pack in packs(found)]))
        for partition, records in self.forwards.items():
            writes.append(seat.forward(partition).append(records))
        await asyncio.gather(*writes)


def refusal(asked: Asked | AskedSchedule, answer: Answer, partition: int) -> Unreadable:
    """A refused command that nobody waits to hear of."""
    return Unreadable(
        topic="commands",
        partition=partition,
        offset=asked.offset,
        at=at(asked.at_ms),
        fault=answer.detail,
        field=named[1] if (named := NAMED_FIRST.match(answer.detail)) else "",
        remedy="correct it and write it again",
        value=asked.command,
    )
