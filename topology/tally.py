"""The answers to some commands, as they come in: a future for each would cost as much as all the rest."""

import asyncio
from collections.abc import Callable

from schemas.commands import Answer
from topology.commander_errors import CommandError

Found = Answer | CommandError


class Tally:
    """A place for each command. Done when every place has an answer, or the error that stands for it."""

    def __init__(self, count: int) -> None:
        self._found: list[Found | None] = [None] * count
        self._missing = count
        self._heard = 0
        self._done = asyncio.Event()
        if not count:
            self._done.set()

    def take(self, place: int, found: Found) -> None:
        """The first one counts."""
        if self._found[place] is None:
            self._found[place] = found
            self._missing -= 1
            self._heard += 1
            if not self._missing:
                self._done.set()

    async def until_quiet(self, quiet_s: float) -> None:
        """Returns when all are there, or when for so long, twice that at most, none came."""
        while not self._done.is_set():
            heard = self._heard
            try:
                async with asyncio.timeout(quiet_s):
                    await self._done.wait()
            except TimeoutError:
                if heard == self._heard:
                    return

    def answers(self, missing: Callable[[int], CommandError]) -> list[Found]:
        """All of them, in order; in an empty place, its error."""
        return [missing(place) if found is None else found for place, found in enumerate(self._found)]
