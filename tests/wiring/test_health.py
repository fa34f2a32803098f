"""What workers tell over HTTP, from real ones: not ready before they own and have caught up, ready then."""

import aiohttp
from system import until


async def asked(session, url):
    async with session.get(url) as response:
        return response.status, await response.text()


async def test_workers_are_ready_when_they_own_their_share_and_have_caught_up(make_system):
    async with make_system(start=False, health_port=0) as system, aiohttp.ClientSession() as session:
        for worker, owned in ((system.scheduler, 2), (system.courier, 2 * 3)):
            worker.start()
            (told,) = await until(lambda w=worker: w.told("health_served"))
            url = told["url"]
            assert (await asked(session, f"{url}/healthz"))[0] == 200
            early, said = await asked(session, f"{url}/readyz")
            assert early == 503, said

            async def is_ready(url=url):
                status, text = await asked(session, f"{url}/readyz")
                return text if status == 200 else None

            assert f'"owned": {owned}' in await until(is_ready)
            assert "clepsydra_" in (await asked(session, f"{url}/metrics"))[1]
            taken = system.keep(
                system.worker(worker.name, f"{worker.name}-2", CLEPSYDRA_HEALTH_PORT=url.split(":")[-1])
            )
            assert await taken.ended() == 70
            assert "CLEPSYDRA_HEALTH_PORT" in str(taken.told("process_ends"))


async def test_a_frozen_worker_is_not_ready_when_it_wakes_without_its_lease(make_system):
    async with make_system(health_port=0) as system, aiohttp.ClientSession() as session:
        (told,) = system.scheduler.told("health_served")
        system.scheduler.freeze()
        successor = system.keep(system.worker("scheduler", "scheduler-2"))
        await system.owned(successor)
        system.scheduler.thaw()
        status, said = await asked(session, f"{told['url']}/readyz")
        assert status == 503, said
