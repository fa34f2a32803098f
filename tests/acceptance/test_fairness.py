"""One full account and one endpoint that hangs hold nobody else up (rule 4, G6).

`CLEPSYDRA_LIMITS_FULL=1`: at the size that the promises name.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiohttp import web
from system import System, new_id, now_ms, say, until

from schemas.commands import Create
from schemas.message import Message
from schemas.outcomes import Delivered, OutcomeRecord
from schemas.times import ms_of
from schemas.wire import read_outcome

FULL = bool(os.environ.get("CLEPSYDRA_LIMITS_FULL"))
ASKED_AT_ONCE = 2_000


async def schedule(system: System, messages: Iterable[Message]) -> None:
    commands = [Create(command_id=new_id(), message=message, allow_past=True) for message in messages]
    for start in range(0, len(commands), ASKED_AT_ONCE):
        await system.insist(commands[start : start + ASKED_AT_ONCE])


def p99(late_ms: list[int]) -> int:
    return sorted(late_ms)[int(len(late_ms) * 0.99) - 1]


async def begun_late_ms(system: System, channel: str, prefix: str) -> dict[str, int]:
    """How late each delivered send began, as its courier wrote down."""
    found: dict[str, int] = {}
    for record in await system.read(system.names.outcomes(channel)):
        outcome = read_outcome(record.value)
        if (
            isinstance(outcome, OutcomeRecord)
            and isinstance(outcome.result, Delivered)
            and outcome.key.startswith(prefix)
        ):
            assert outcome.started_at is not None
            found[outcome.key] = ms_of(outcome.started_at) - ms_of(outcome.due_at)
    return found


async def test_one_account_with_many_due_does_not_delay_the_others(make_system):
    many, accounts = (50_000, 500) if FULL else (6_000, 60)
    async with make_system(partitions=4) as system:
        due = now_ms() + (40_000 if FULL else 6_000)
        big = (system.message(f"big-{n}", due_ms=due, channel="log", account="big") for n in range(many))
        await schedule(system, big)
        small = [(a, n) for a in range(accounts) for n in range(10)]
        await schedule(
            system, (system.message(f"small-{a}-{n}", due_ms=due, channel="log", account=f"a{a}") for a, n in small)
        )
        assert now_ms() < due, "all were scheduled before they were due"

        # a look at all of them all the time would slow what it measures
        await until(lambda: now_ms() > due + 1_000, 60)
        await system.all_in("delivered", sorted(f"small-{a}-{n}" for a, n in small)[-4:], 60)

        async def all_begun() -> dict[str, int] | None:
            late = await begun_late_ms(system, "log", "small-")
            return late if len(late) == len(small) else None

        late = await until(all_begun, 60) or {}
        say(f"{len(small)} of {accounts} others beside {many} of one: p99 {p99(list(late.values()))} ms")
        assert p99(list(late.values())) < 2_000


@asynccontextmanager
async def hanging(seconds: float) -> AsyncIterator[str]:
    """An endpoint that answers after so long. It closes last: a connection that comes while it closes is left open."""

    async def hang(_request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(seconds)
        return web.Response()

    runner = web.ServerRunner(web.Server(hang, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


async def test_an_endpoint_that_hangs_delays_only_its_own_messages(make_system):
    slow, quick = (500, 5_000) if FULL else (200, 500)
    async with hanging(10) as url, make_system(partitions=4) as system:
        due = now_ms() + (8_000 if FULL else 3_000)
        await schedule(system, (system.message(f"slow-{n}", due_ms=due, to=url) for n in range(slow)))
        await schedule(system, (system.message(f"quick-{n}", due_ms=due) for n in range(quick)))
        assert now_ms() < due, "all were scheduled before they were due"
        await until(lambda: len(system.receiver.arrivals) == quick, 60)
        late = [arrival.at_ms - due for arrival in system.receiver.arrivals]
        say(f"{quick} to others beside {slow} to one that hangs: p99 {p99(late)} ms")
        assert p99(late) < 2_000
