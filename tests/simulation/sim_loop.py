"""An event loop with its own time: it runs what is ready, and time moves only when the simulation says so."""

import asyncio
from asyncio import events
from heapq import heappop


class SimLoop(asyncio.SelectorEventLoop):
    """Deterministic: the same calls give the same order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def settle(self, turns_max: int = 20_000) -> None:
        """Run until nothing is ready. Raises RuntimeError when that never comes: something spins."""
        events._set_running_loop(self)
        try:
            for _ in range(turns_max):
                if not self._ready and not self._timer_is_due():
                    return
                self._run_once()
        finally:
            events._set_running_loop(None)
        raise RuntimeError("the loop never comes to rest: a task spins")

    def _timer_is_due(self) -> bool:
        while self._scheduled and self._scheduled[0]._cancelled:
            handle = heappop(self._scheduled)
            handle._scheduled = False
            self._timer_cancelled_count = max(0, self._timer_cancelled_count - 1)
        return bool(self._scheduled) and self._scheduled[0]._when <= self.now

    def next_timer(self) -> float | None:
        """When something is to happen by itself."""
        self._timer_is_due()
        return self._scheduled[0]._when if self._scheduled else None
