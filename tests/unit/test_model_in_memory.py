"""The API against a plain dict: stories of random requests to the gateway and the decisions alone, without a server."""

import asyncio
import itertools
import random
from typing import Any

import httpx
import msgspec
from fakes import FakeClock, FakeSettingsTable
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from model_story import Story

from gateway.api import create_api
from gateway.parts import Parts
from schemas.commands import Answer, Command
from schemas.decide import decide
from schemas.decisions import Acked, Asked, Given, Policy, Seen, Wait
from schemas.lifecycle import LIVE
from schemas.outcomes import Ack, Delivered, Rejected
from schemas.rows import Row
from schemas.times import at, ms_of
from topology.settings import load_settings

POLICY = Policy(delays_ms={"webhook": ()})
KEY = "k" * 16


class Owner:
    """All messages in one dict, decided by the product's own rules; what is due is sent between two commands, or not yet."""

    waiting, ready = 0, True

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.rows: dict[str, Row] = {}
        self.recent: dict[str, tuple[Any, ...]] = {}
        self.arrivals: list[Any] = []
        self.offsets = itertools.count()
        self.dice = random.Random(0)

    async def ask(self, command: Command) -> Answer:
        self.clock.ms += 1
        if self.dice.random() < 0.7:
            self.send_what_is_due()
        answer = self._decide(command.id, Asked(command, next(self.offsets), self.clock.ms))
        assert answer is not None
        return answer

    def send_what_is_due(self) -> None:
        for row in list(self.rows.values()):
            for d in row.deliveries:
                if d.state in LIVE and ms_of(d.due_at) <= self.clock.ms:
                    refused = d.to.endswith("/refuse")
                    body = msgspec.json.decode(row.message.body)
                    self.arrivals.append([f"{row.id}/{d.target}", self.clock.ms, 400 if refused else 200, body])
                    result = Rejected(reason="400") if refused else Delivered()
                    now = at(self.clock.ms)
                    ack = Ack(
                        id=row.id, target=d.target, birth=row.birth, turn=d.turn, started_at=now, finished_at=now, result=result
                    )  # fmt: skip
                    self._decide(row.id, Acked(ack))

    def _decide(self, message_id: str, given: Given) -> Answer | None:
        row = self.rows.get(message_id)
        seen = Seen(row=row, recent=self.recent.get(message_id, ()))
        found = decide(seen, given, self.clock.ms, POLICY)
        assert not isinstance(found, Wait)
        if found.row is not None:
            self.rows[message_id] = found.row
            self.recent.pop(message_id, None)
        elif found.remember is not None:
            self.recent[message_id] = (*seen.recent, found.remember)
        return found.answer


class InProcess:
    """The part of a blocking client that stories use."""

    def __init__(self, runner: asyncio.Runner, app: Any) -> None:
        self._runner = runner
        headers = {"authorization": f"Bearer {KEY}"}
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", headers=headers)

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, path, **given))


class InMemory:
    """Nothing to kill and nothing to freeze: those steps change nothing."""

    receiver = "http://receiver/hook"

    def __init__(self, runner: asyncio.Runner) -> None:
        clock = FakeClock()
        self.owner = Owner(clock)
        parts = Parts(
            load_settings(api_key=KEY),
            clock,
            self.owner,
            FakeSettingsTable(),
            windows=None,
            archive=None,
            event_ends=None,
        )
        self.http = InProcess(runner, create_api(parts))
        self.keys = itertools.count()

    def arrivals(self) -> list[Any]:
        return self.owner.arrivals

    def kill_scheduler(self) -> None: ...

    def wait_owned(self) -> None: ...

    def freeze_gateway(self) -> None: ...

    def thaw_gateway(self) -> None: ...


def test_the_api_does_what_a_plain_dict_would_do():
    told = settings(max_examples=40, stateful_step_count=30, deadline=None, derandomize=True, database=None)
    with asyncio.Runner() as runner:
        served = InMemory(runner)
        run_state_machine_as_test(lambda: Story(served), settings=told)
