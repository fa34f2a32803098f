"""The receiver of chaos tells the ledger what its process has taken and refused."""

import aiohttp
from chaos_ledger import Arrival, Ledger
from chaos_receiver import NotingReceiver
from system import until


async def sent(session, url, key, **body):
    async with session.post(url, json=body, headers={"webhook-id": key}) as response:
        return response.status


async def test_what_is_taken_and_what_is_refused_reaches_the_ledger():
    ledger = Ledger()
    async with NotingReceiver(ledger, seed=1, busy=0.5) as receiver, aiohttp.ClientSession() as session:
        keys = [f"m{n}/0" for n in range(40)]
        first = {key: await sent(session, receiver.url, key, due_ms=7, rev=2) for key in keys}
        again = {key: await sent(session, receiver.url, key, due_ms=7, rev=2) for key in keys if first[key] == 503}
        await until(lambda: len(ledger.arrivals) == len(keys), 5)
    assert set(first.values()) == {200, 503}
    assert set(again.values()) == {200}, "refused once only"
    assert ledger.refused == set(again)
    assert {a._replace(at_ms=0) for a in ledger.arrivals} == {Arrival(key, 2, 7, 0) for key in keys}
