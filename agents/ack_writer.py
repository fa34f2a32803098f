"""Acks on their way to the owner of one timetable partition."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential

from agents.duty import Duty
from agents.ports import Log, LogBrokenError, Record
from schemas.due import DueMessage
from schemas.outcomes import Ack, Outcome
from schemas.wire import PACK_COUNT_MAX, encode, packs

AGAIN_S_MAX = 2.0


class AckWriter:
    """One per process and timetable partition: collects acks during an append, packs them, one batch at a time.

    A write of unknown fate is made again until it is known: an ack that is there twice counts once [stale_ack].
    """

    def __init__(
        self, log: Log, on_broken: Callable[[Exception], None], pause: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """`pause`: waited out before a small pack, for more to come."""
        self._pause = pause
        self._log = log
        self._again = AsyncRetrying(
            retry=retry_if_exception_type(LogBrokenError), wait=wait_exponential(multiplier=0.1, max=AGAIN_S_MAX)
        )
        self._on_broken = on_broken
        self._acks: list[bytes] = []
        self._then: list[Callable[[], None]] = []
        self._duty = Duty(self._write, self._break)
        self._broken = False

    def add(self, acks: list[bytes], then: Callable[[], None]) -> None:
        """Write encoded acks; `then` is called once when all of them are durable."""
        if not self._broken:
            self._acks += acks
            self._then.append(then)
            self._duty.wake()

    async def idle(self) -> None:
        """Return when everything added is durable, or the writer has broken."""
        await self._duty.idle()

    def abandon(self) -> None:
        """Write nothing more (tests: the process died here)."""
        self._broken = True
        self._duty.cancel()

    async def _write(self) -> None:
        while self._acks:
            if self._pause is not None and len(self._acks) < PACK_COUNT_MAX // 2:
                await self._pause()
            acks, self._acks = self._acks, []
            told, self._then = self._then, []
            await self._again(self._log.append, [Record(None, pack) for pack in packs(acks)])
            for then in told:
                then()

    def _break(self, error: Exception) -> None:
        self._broken = True
        self._on_broken(error)


def encoded_ack(message: DueMessage, result: Outcome, begun: datetime | None, ended: datetime) -> bytes:
    """The ack of a due message's turn."""
    return encode(
        Ack(
            id=message.id,
            target=message.target,
            birth=message.birth,
            turn=message.turn,
            started_at=begun,
            finished_at=ended,
            result=result,
        )
    )
