"""Work that runs while there is some: one task at a time, none when idle."""

import asyncio
from collections.abc import Awaitable, Callable


class Duty:
    """One coroutine function, started by `wake` when it is not running; what it raises is told to `on_error`.

    The work takes what it finds until nothing is left; between its last look and its end it must not give way.
    """

    def __init__(self, work: Callable[[], Awaitable[None]], on_error: Callable[[Exception], None]) -> None:
        self._work = work
        self._on_error = on_error
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There is something to do."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def idle(self) -> None:
        """Return when nothing is being done any more."""
        while self._task is not None:
            await asyncio.wait([self._task])

    def cancel(self) -> None:
        """Stop it where it stands. One that stops itself ends by returning."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._work()
        except Exception as error:  # noqa: BLE001 - whatever it is, someone must hear of it
            self._on_error(error)
        finally:
            self._task = None
