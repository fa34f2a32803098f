"""What an owner has to decide: acks first, its own findings, then commands in slices that give way to the spout."""

from collections import deque

from msgspec import Struct

from agents.source import Source
from schemas.commands import AnyCommand, Look
from schemas.decisions import Acked, Asked, Given
from schemas.events import Unreadable
from schemas.schedule_decisions import AskedSchedule, Tend

ACKS_SLICE = 300
COMMANDS_SLICE = 250
OWN_SLICE = 600
QUIET_TIMES = 4
"""So many times as much where nothing is due soon: a round costs several writes, whatever is in it."""
COMMANDS_PACE_MS = 4
"""Somebody waits for the answer."""
ACKS_PACE_MS = 40
"""Nobody does: places in flight are free as soon as an ack is here."""
ACKS_LAST_MS = 1_500
"""So long may acks wait while something is due: then all that are here are decided first."""


class Stray(Struct, frozen=True):
    """A command that belongs to another partition: it is forwarded, not refused."""

    command: AnyCommand
    home: int


class Item(Struct, gc=False):
    """One input; `source` None: the owner found it itself."""

    id: str
    given: Given | AskedSchedule | Tend | Stray | Unreadable
    source: Source | None = None
    offset: int = -1


class Inbox:
    """The order of inputs of one message is kept; a command that must wait holds up its own message only."""

    def __init__(self) -> None:
        """Empty."""
        self.acks: deque[Item] = deque()
        self.own: deque[Item] = deque()
        self.commands: deque[Item] = deque()
        self.waiting: dict[str, list[Item]] = {}
        self.acks_since_ms = 0
        """Since when there is always some ack to decide."""

    def __bool__(self) -> bool:
        """Whether anything can be decided now."""
        return bool(self.acks or self.own or self.commands)

    def pace_ms(self) -> int:
        """How long after the last round the next may begin: a round costs far more than an input in it."""
        if len(self.acks) + len(self.own) + len(self.commands) >= COMMANDS_SLICE:
            return 0
        return COMMANDS_PACE_MS if self.commands else ACKS_PACE_MS

    def nobody_waits(self, now_ms: int) -> bool:
        """Whether there is nothing but acks, none of them older than a while."""
        return not self.commands and not self.own and now_ms - self.acks_since_ms < ACKS_LAST_MS

    def put_acks(self, items: list[Item], now_ms: int) -> None:
        """Acks that came together."""
        if not self.acks:
            self.acks_since_ms = now_ms
        self.acks.extend(items)

    def put(self, item: Item) -> None:
        """One more."""
        match item.given:
            case Acked():
                self.acks.append(item)
            case Asked() | AskedSchedule() | Stray() | Unreadable():
                self.commands.append(item)
            case _:
                self.own.append(item)

    def slice(self, *, quiet: bool = False) -> list[Item]:
        """The next inputs to decide; more of them while it is `quiet`."""
        found: list[Item] = []
        times = QUIET_TIMES if quiet else 1
        for queue, most in ((self.acks, ACKS_SLICE), (self.own, OWN_SLICE), (self.commands, COMMANDS_SLICE)):
            for _ in range(min(most * times, len(queue))):
                found.append(queue.popleft())  # noqa: PERF401 - it empties the queue
        return found

    def must_queue(self, item: Item) -> bool:
        """Whether an earlier command on this message waits."""
        return bool(self.waiting) and item.id in self.waiting and is_change(item)

    def wait(self, item: Item) -> None:
        """Not decidable yet: see `wake`."""
        self.waiting.setdefault(item.id, []).append(item)

    def wake(self, message_id: str) -> bool:
        """What this message's commands waited for has come; True when there were any."""
        if message_id not in self.waiting:
            return False
        self.commands.extendleft(reversed(self.waiting.pop(message_id)))
        return True

    def put_back(self, items: list[Item]) -> None:
        """Second inputs on a message that is being written: first in the next round."""
        for item in reversed(items):
            (self.acks if isinstance(item.given, Acked) else self.commands if item.source else self.own).appendleft(
                item
            )


def is_change(item: Item) -> bool:
    """Whether an input asks for a change, not for a look."""
    return isinstance(item.given, Asked) and not isinstance(item.given.command, Look)
