"""The only file that reads the clock."""

import asyncio
import time

NS_PER_MS = 1_000_000
BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """Implements agents.ports.Clock with the machine's time."""

    def now_ms(self) -> int:
        """Unix time in whole milliseconds, rounded down: what is due is never sent early."""
        return time.time_ns() // NS_PER_MS

    async def sleep_ms(self, ms: float) -> None:
        """Gives way for about so long; 0 or less: for one turn of the loop."""
        await asyncio.sleep(max(ms, 0.0) / 1000)

    async def wait(self, event: asyncio.Event, ms: float) -> None:
        """Until the event is set, by others or after so long: a timer that sets it costs a third of asyncio.timeout."""
        timer = asyncio.get_running_loop().call_later(max(ms, 0.0) / 1000, event.set)
        try:
            await event.wait()
        finally:
            timer.cancel()

    def boot_ms(self) -> int:
        """Milliseconds since boot, suspension counted: leases run on it, which no one can set (rule 7)."""
        return boot_ms()


def boot_ms() -> int:
    """Milliseconds of CLOCK_BOOTTIME; where the system has none (macOS, BSD), of the monotonic clock."""
    return time.clock_gettime_ns(BOOT_CLOCK) // NS_PER_MS
