"""Email over kill -9 of its courier, before, in and after DATA: nobody gets a message twice, the unsure ones are held.

`CLEPSYDRA_EMAIL_KILLS=50` makes it so many kills.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.smtp import SMTP
from system import System, new_id, now_ms, say, until

from schemas.commands import Create

KILLS = int(os.environ.get("CLEPSYDRA_EMAIL_KILLS", "3"))
PHASES = ("before", "in", "after")
HOLD_S = 60


class Mailbox:
    """Takes mail; at a phase that is asked for it holds the courier there and says so."""

    def __init__(self) -> None:
        self.got: Counter[str] = Counter()
        self.hold = ""
        self.reached = asyncio.Event()

    async def at(self, phase: str) -> None:
        if self.hold == phase:
            self.hold = ""
            self.reached.set()
            await asyncio.sleep(HOLD_S)

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:  # noqa: N802
        await self.at("before")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        await self.at("in")
        self.got[message_from_bytes(envelope.content, policy=policy.default)["Message-ID"]] += 1
        await self.at("after")
        return "250 OK"


@asynccontextmanager
async def serving(mailbox: Mailbox) -> AsyncIterator[str]:
    def session() -> SMTP:
        return SMTP(mailbox, hostname="test", ident="test")

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_no_email_is_sent_twice_and_the_unsure_ones_are_held(make_system):
    mailbox = Mailbox()
    async with serving(mailbox) as server:
        settings = {"email_server": server, "email_from": "news@example.com", "email_tls": "none"}
        async with make_system(**settings) as system:
            ids: list[str] = []
            for kill in range(KILLS):
                mailbox.reached.clear()
                mailbox.hold = PHASES[kill % len(PHASES)]
                names = await _schedule(system, kill)
                await asyncio.wait_for(mailbox.reached.wait(), 30)
                await until(lambda names=names: _delivered(system, names, len(names) - 1), 30)
                ids += names
                system.courier.kill()
                system.courier.start()

            async def finished() -> bool:
                return set((await system.states(ids)).values()) <= {"delivered", "unknown"}

            await until(finished, 90, lambda: system.courier.text()[-3000:])
            states = await system.states(ids)
            unknown = sorted(id_ for id_, state in states.items() if state == "unknown")
            repeats = {key: count for key, count in mailbox.got.items() if count > 1}
            say(f"{KILLS} kills, {len(ids)} emails, {len(unknown)} held as unknown, {len(repeats)} repeats")
            assert repeats == {}
            assert {id_ for id_, state in states.items() if state == "delivered"} <= {
                k[1:].split("/")[0] for k in mailbox.got
            }
            assert len(unknown) == KILLS, "at each kill one send was under way"
            letters = await system.letters(lambda letter: letter.get("state") == "unknown", len(unknown))
            assert {letter["id"] for letter in letters} == set(unknown)


async def _delivered(system: System, names: list[str], count: int) -> bool:
    return list((await system.states(names)).values()).count("delivered") == count


async def _schedule(system: System, kill: int) -> list[str]:
    due = now_ms() + 300
    names = [f"e{kill}-{n}" for n in range(4)]
    mail = {"channel": "email", "to": "ann@example.org", "headers": {"Subject": "hi"}}
    messages = [system.message(name, due_ms=due, **mail) for name in names]
    await system.insist(Create(command_id=new_id(), message=message, allow_past=True) for message in messages)
    return names
