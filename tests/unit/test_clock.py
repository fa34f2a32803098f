"""The system's clock."""

import asyncio
import time

from topology.clock import SystemClock


def test_now_is_unix_time_in_whole_milliseconds_rounded_down():
    before = time.time_ns()
    now_ms = SystemClock().now_ms()
    assert before // 1_000_000 <= now_ms <= time.time_ns() / 1_000_000


def test_boot_time_never_goes_back():
    clock = SystemClock()
    times = [clock.boot_ms() for _ in range(1000)]
    assert times == sorted(times)


async def test_a_wait_ends_when_its_event_is_set():
    clock, event = SystemClock(), asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    async with asyncio.timeout(10):
        await clock.wait(event, 60_000)
    assert event.is_set()


async def test_a_wait_ends_by_itself_and_one_of_no_time_at_once():
    clock, event = SystemClock(), asyncio.Event()
    async with asyncio.timeout(10):
        await clock.wait(event, 1)
        await clock.wait(event, 0)
        await clock.wait(event, -5)
        await clock.sleep_ms(-5)
