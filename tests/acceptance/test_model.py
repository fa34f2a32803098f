"""The API against a plain dict, on real processes: the scheduler killed, the gateway frozen, requests repeated.

`CLEPSYDRA_MODEL_EXAMPLES` says how many stories are told; each has some 25 steps. The same stories are told to the decisions
alone, without a server, by tests/unit/test_model_in_memory.py.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from model_story import Story
from system import System, until
from system_gateway import kept_gateway

EXAMPLES = int(os.environ.get("CLEPSYDRA_MODEL_EXAMPLES", "8"))
STEPS = 25
PROCESS = Path(__file__).parents[1] / "receiver_process.py"


class Processes:
    """One system for all stories."""

    def __init__(self, runner: asyncio.Runner, system: System, port_file: Path) -> None:
        self._runner, self._system = runner, system
        system.keep(system.worker("scheduler", "receiver", [sys.executable, str(PROCESS), str(port_file)]))
        self.receiver = runner.run(until(lambda: port_file.exists() and port_file.read_text()))
        self._gateway, reached = runner.run(kept_gateway(system))
        headers = {"authorization": f"Bearer {reached['CLEPSYDRA_API_KEY']}"}
        self.http = httpx.Client(base_url=reached["CLEPSYDRA_URL"], headers=headers, timeout=15)
        self.keys = itertools.count()

    def kill_scheduler(self) -> None:
        self._system.scheduler.kill()
        self._system.scheduler.start()

    def wait_owned(self) -> None:
        self._runner.run(self._system.owned())

    def freeze_gateway(self) -> None:
        self._gateway.freeze()

    def thaw_gateway(self) -> None:
        self._gateway.thaw()

    def arrivals(self) -> list[Any]:
        return self.http.get(self.receiver.replace("/hook", "/arrivals")).json()


def test_the_api_does_what_a_plain_dict_would_do(make_system, tmp_path):
    told = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with asyncio.Runner() as runner:
        system: System = make_system()
        runner.run(system.__aenter__())
        try:
            served = Processes(runner, system, tmp_path / "receiver")
            with served.http:
                run_state_machine_as_test(lambda: Story(served), settings=told)
        finally:
            runner.run(system.__aexit__())
