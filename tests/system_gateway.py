"""A gateway of a system, as a process of its own."""

import sys

import httpx
from system import System, until

from topology.embedded_process import free_port

KEY = "a-key-of-the-tests-000"


async def start_gateway(system: System) -> dict[str, str]:
    """Its CLEPSYDRA_URL and CLEPSYDRA_API_KEY, once it is ready."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "gateway.cli", "gateway"]
    process = system.keep(
        system.worker("scheduler", "gateway", command, CLEPSYDRA_PORT=str(port), CLEPSYDRA_API_KEY=KEY)
    )

    async def ready() -> bool:
        assert process.running, process.text()
        try:
            async with httpx.AsyncClient() as http:
                return (await http.get(f"{url}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    await until(ready, tell=process.text)
    return {"CLEPSYDRA_URL": url, "CLEPSYDRA_API_KEY": KEY}
