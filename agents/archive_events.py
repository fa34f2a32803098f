"""The archivist's agent: batches of events on their way into the archive, each stored once, in order."""

from collections.abc import AsyncIterable, Awaitable, Callable
from datetime import datetime
from typing import Protocol

from msgspec import Struct
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from schemas.archive import Placed

WAIT_S_MIN, WAIT_S_MAX = 0.1, 2.0


class StoreAwayError(Exception):
    """The archive cannot be reached: nothing of the batch is stored, and the same batch may be tried again."""


class OvertakenError(Exception):
    """Another archivist has taken some of these in, or the archive was made anew: begin again from what it holds."""


class Reach(Struct, frozen=True):
    """A stretch of one partition of `events`: [start, end), and the time as of which it is complete."""

    start: int
    end: int
    as_of: datetime


class EventBatch(Struct, frozen=True):
    """Events in log order, and the stretches that they are all the readable events of."""

    reaches: dict[int, Reach]
    placed: list[Placed]
    settle: Callable[[Exception | None], None]
    """Called once: None when it is stored, or why it never will be."""


class EventStore(Protocol):
    """Where events are kept."""

    async def store(self, batch: EventBatch) -> None:
        """All of it and how far it reaches, or nothing. Raises StoreAwayError, OvertakenError."""
        ...


class ArchiveWatch(Protocol):
    """Who looks on."""

    def stored(self, batch: EventBatch) -> None:
        """A batch is in the archive."""
        ...

    def away(self, error: BaseException, tries: int) -> None:
        """It could not be stored; it is tried again."""
        ...


def make_archive_events(
    store: EventStore, watch: ArchiveWatch, on_broken: Callable[[Exception], None]
) -> Callable[[AsyncIterable[EventBatch]], Awaitable[None]]:
    """`archive_events`: fed by a channel inside the process. While the archive is away it waits, and so does its reader.

    The body never raises; an error that waiting does not mend goes to `on_broken`, which ends the process (rule 8).
    """

    def told(state: RetryCallState) -> None:
        if state.outcome is not None and (error := state.outcome.exception()) is not None:
            watch.away(error, state.attempt_number)

    waiting = AsyncRetrying(
        retry=retry_if_exception_type(StoreAwayError),
        wait=wait_random_exponential(multiplier=WAIT_S_MIN, max=WAIT_S_MAX),
        before_sleep=told,
    )

    async def archive_events(stream: AsyncIterable[EventBatch]) -> None:
        async for batch in stream:
            try:
                await waiting(store.store, batch)
            except OvertakenError as overtaken:
                batch.settle(overtaken)
            except Exception as error:  # noqa: BLE001 - see above
                on_broken(error)
            else:
                watch.stored(batch)
                batch.settle(None)

    return archive_events
