"""The turn of a request of a flow with a rate: connected, it waits for its moment, so that slow connections bunch nothing."""

import asyncio

from agents.ports import Clock
from agents.send_job import Hold, Job
from schemas.outcomes import Deferred, Outcome
from schemas.times import at

TURN_MS_MAX = 500
"""Who would wait longer with its connection goes back to the timetable."""


async def take_turn(job: Job, clock: Clock) -> Outcome | None:
    """None: its request leaves now, `job.begun`. Else what is answered instead."""
    until_ms = clock.now_ms() + TURN_MS_MAX
    while True:
        now_ms = clock.now_ms()
        held = job.hands.turn(job, at(now_ms))
        if held is None:
            job.begun = at(now_ms)
            asyncio.get_running_loop().call_soon(job.hands.left, job)
            return None
        if held is Hold.GONE:
            return Deferred(until=at(now_ms), reason="its courier has let go of it")  # it is told to nobody
        if held is not Hold.EARLY:
            return held
        if job.at_ms > until_ms:
            return job.hands.put_off(job, at(now_ms))
        await clock.sleep_ms(job.at_ms - now_ms)
