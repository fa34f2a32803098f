"""The only file that reads the clock."""

import asyncio
import time
from contextlib import suppress

NS_PER_MS = 1_000_000


class SystemClock:
    """Implements agents.ports.Clock with the machine's time."""

    def now_ms(self) -> int:
        """Unix time in whole milliseconds, rounded down: what is due is never sent early."""
        return time.time_ns() // NS_PER_MS

    async def sleep_ms(self, ms: float) -> None:
        """Gives way for about so long; 0 or less: for one turn of the loop."""
        await asyncio.sleep(max(ms, 0.0) / 1000)

    async def wait(self, event: asyncio.Event, ms: float) -> None:
        """Until the event is set, or about so long; at once where it is set or `ms` is 0 or less."""
        if ms <= 0 or event.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(ms / 1000):
                await event.wait()

    def boot_ms(self) -> int:
        """Milliseconds since boot, suspension counted: leases run on it, which no one can set (rule 7)."""
        return boot_ms()


def boot_ms() -> int:
    """Milliseconds of CLOCK_BOOTTIME; where the system has none (macOS, BSD), of the monotonic clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // NS_PER_MS
