"""Steady traffic: creates, edits and cancels, over Kafka and HTTP, each repeated with its id until it is answered."""

import asyncio
import contextlib
import heapq
import itertools
import random
import time
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import quote

import aiohttp
import msgspec
from chaos_ledger import Asked, Change, Ledger, Promise

from schemas.commands import Answer, Cancel, Command, Create, Edit
from schemas.message import Changes, Message
from schemas.times import at, rfc3339
from topology.commander import Commander

TICK_S = 0.1
AHEAD_MS = (1_200, 6_000)
CANCELLED, EDITED, ASKED_AGAIN, OVER_HTTP = 0.12, 0.12, 0.02, 0.15
GIVE_UP_S = 180
RETRY = {"delays": ["PT0.3S", "PT1S", "PT2S", "PT4S", "PT8S", *["PT10S"] * 30]}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def raw(rev: int, due_ms: int) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode({"due_ms": due_ms, "rev": rev}))


class Traffic:
    """`rate` messages a second from `start` to `stop`."""

    def __init__(
        self, ledger: Ledger, commander: Commander, url: Callable[[], str], api: str, key: str, rate: int, seed: int
    ) -> None:
        """`url`: of the receiver; `api`: of the gateway."""
        self.ledger, self.commander, self.url, self.rate = ledger, commander, url, rate
        self.random = random.Random(seed)
        self.run_id = uuid.uuid4().hex[:6]
        self.changes: list[tuple[int, int, Asked, str]] = []
        self.made = 0
        self.under_way: set[asyncio.Task[None]] = set()
        self.unanswered = 0
        self._api, self._headers = api, {"Authorization": f"Bearer {key}"}
        self._numbers = itertools.count()
        self._going = True

    async def start(self) -> None:
        self.session = aiohttp.ClientSession(
            self._api,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=12),
            connector=aiohttp.TCPConnector(limit=1_000),  # a frozen gateway's requests must not wait for each other
        )
        self._tasks = [asyncio.create_task(self._make()), asyncio.create_task(self._change())]

    async def stop(self) -> None:
        """No more is asked; returns when all that was asked is answered or given up."""
        self._going = False
        await asyncio.gather(*self._tasks)
        while self.under_way:
            await asyncio.wait(self.under_way)
        await self.session.close()

    def _spawn(self, work) -> None:
        task = asyncio.create_task(work)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    # ---- what is asked

    async def _make(self) -> None:
        begun = time.monotonic()
        while self._going:
            wanted = int((time.monotonic() - begun) * self.rate)
            some = list(self._new(min(wanted - self.made, self.rate)))
            self.made = max(self.made, wanted)
            if some:
                self._spawn(self._create(some))
            await asyncio.sleep(TICK_S)

    def _new(self, count: int) -> Iterator[Asked]:
        for n in range(count):
            due = now_ms() + self.random.randint(*AHEAD_MS)
            asked = Asked(id=f"{self.run_id}-{self.made + n}", due_ms=due)
            self.ledger.asked[asked.id] = asked
            yield asked

    async def _create(self, some: list[Asked]) -> None:
        over_http = [asked for asked in some if self.random.random() < OVER_HTTP]
        by_kafka = [asked for asked in some if asked not in over_http]
        for asked in over_http:
            self._spawn(self._create_over_http(asked))
        answers = await self._insist(
            [Create(command_id=f"c-{a.id}", message=self._message(a), allow_past=True) for a in by_kafka]
        )
        for asked in by_kafka:
            self._created(asked, answers.get(f"c-{asked.id}"))

    def _message(self, asked: Asked) -> Message:
        fields = {"id": asked.id, "due_at": at(asked.due_ms), "channel": "webhook", "to": self.url(), "retry": RETRY}
        return msgspec.convert(fields | {"body": raw(1, asked.due_ms)}, Message)

    def _created(self, asked: Asked, answer: str | None) -> None:
        asked.created = answer
        if answer != "accepted":
            return
        asked.accepted_ms = now_ms()
        self.ledger.expect(asked)
        for kind, share in (("cancel", CANCELLED), ("edit", EDITED)):
            if self.random.random() < share:
                when = max(now_ms(), asked.due_ms + self.random.randint(-3_000, 150))
                heapq.heappush(self.changes, (when, next(self._numbers), asked, kind))

    async def _change(self) -> None:
        while self._going or self.changes:
            some = []
            while self.changes and self.changes[0][0] <= now_ms():
                _, _, asked, kind = heapq.heappop(self.changes)
                some.append((asked, self._wanted(asked, kind)))
            for asked, change in some:
                asked.changes = [*asked.changes, change]
            over_http = {c.command_id for _, c in some if self.random.random() < OVER_HTTP}
            for asked, change in some:
                if change.command_id in over_http:
                    self._spawn(self._change_over_http(asked, change))
            if by_kafka := [(a, c) for a, c in some if c.command_id not in over_http]:
                self._spawn(self._change_by_kafka(by_kafka))
            await asyncio.sleep(TICK_S / 5)

    def _wanted(self, asked: Asked, kind: str) -> Change:
        due = asked.due_ms + self.random.choice((0, 0, 1_500)) if kind == "edit" else 0
        return Change(command_id=f"{kind}-{asked.id}", kind=kind, rev=2, due_ms=due)

    async def _change_by_kafka(self, some: list[tuple[Asked, Change]]) -> None:
        commands = {change.command_id: self._command(asked, change) for asked, change in some}
        answers = await self._insist(list(commands.values()))
        for _, change in some:
            self._answered(change, answers.get(change.command_id))
        again = [c for _, c in some if c.answer is not None and self.random.random() < ASKED_AGAIN]
        if again:
            await asyncio.sleep(self.random.uniform(0, 8))
            answers = await self._insist([commands[change.command_id] for change in again])
            self.ledger.twice += [
                Promise("untrue", f"{c.command_id} was answered {c.answer} and, asked again, {answers[c.command_id]}")
                for c in again
                if answers.get(c.command_id, c.answer) != c.answer
            ]

    def _command(self, asked: Asked, change: Change) -> Command:
        if change.kind == "cancel":
            return Cancel(command_id=change.command_id, id=asked.id)
        wanted = Changes(body=raw(change.rev, change.due_ms), due_at=at(change.due_ms))
        return Edit(command_id=change.command_id, id=asked.id, changes=wanted, allow_past=True)

    # ---- until it is answered

    async def _insist(self, commands: list[Command]) -> dict[str, str]:
        waiting = {command.command_id: command for command in commands}
        answers: dict[str, str] = {}
        deadline = time.monotonic() + GIVE_UP_S
        while waiting and time.monotonic() < deadline:
            for answer in await self.commander.ask_many(list(waiting.values())):
                if isinstance(answer, Answer):
                    answers[answer.command_id] = answer.result
                    waiting.pop(answer.command_id, None)
            if waiting:
                await asyncio.sleep(0.2)
        self.unanswered += len(waiting)
        return answers

    async def _create_over_http(self, asked: Asked) -> None:
        body = {
            "id": asked.id,
            "due_at": rfc3339(asked.due_ms),
            "channel": "webhook",
            "to": self.url(),
            "allow_past": True,
        }
        body["body"] = {"due_ms": asked.due_ms, "rev": 1}
        body["retry"] = RETRY
        status, _ = await self._request("POST", "/v1/messages", body, f"c-{asked.id}")
        self._created(asked, {200: "accepted", 201: "accepted", 409: "conflict", 422: "refused"}.get(status))

    async def _change_over_http(self, asked: Asked, change: Change) -> None:
        path = f"/v1/messages/{quote(asked.id, safe='')}"
        if change.kind == "cancel":
            status, said = await self._request("DELETE", path, None, change.command_id)
            good = "cancelled"
        else:
            due = {"due_at": rfc3339(change.due_ms), "allow_past": True}
            wanted = {"body": {"due_ms": change.due_ms, "rev": change.rev}} | due
            status, said = await self._request("PATCH", path, wanted, change.command_id)
            good = "accepted"
        if status == 409 and "too_late" not in said:
            self._answered(change, "conflict")
        else:
            known = {200: good, 404: "not_found", 409: "too_late", 422: "refused"}
            self._answered(change, known.get(status))

    def _answered(self, change: Change, answer: str | None) -> None:
        change.answer = answer
        if answer == "cancelled":
            self.ledger.outstanding.pop(change.command_id.partition("-")[2], None)

    async def _request(self, method: str, path: str, body: object, key: str) -> tuple[int, str]:
        """Repeated with its key until the gateway knows the answer; 0: given up."""
        deadline = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with self.session.request(method, path, json=body, headers={"Idempotency-Key": key}) as response:
                    if response.status not in (503, 504):
                        return response.status, await response.text()
            await asyncio.sleep(0.3)
        self.unanswered += 1
        return 0, ""
