"""A race for the last moment: edits and cancels around one due instant, each answer against what the receiver saw.

`CLEPSYDRA_RACE_RUNS` says how many times in a row (`make race`: 20).
"""

import asyncio
import logging
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
from system import System, now_ms, until
from system_gateway import start_gateway

from schemas.times import rfc3339

RUNS = int(os.environ.get("CLEPSYDRA_RACE_RUNS", "1"))
COUNT = 2_000
CLIENTS = 8
SIDE_BY_SIDE = 4
"""Requests that one client has under way."""
LEAD_MS, TAIL_MS = 3_000, 1_200
"""The requests are spread over this time before and after the due instant, most of them close to it."""
AT_LEAST = 50
"""Of each kind of answer: with less it was no race."""
logger = logging.getLogger(__name__)
PROCESS = Path(__file__).parents[1] / "receiver_process.py"


class Shot(NamedTuple):
    """A request on one message, when it is to be sent, and what was answered."""

    id: str
    kind: str
    at_ms: int
    status: int = 0
    answer: Any = None

    @property
    def accepted(self) -> bool:
        return self.status == 200


async def test_every_answer_of_a_race_for_the_last_moment_agrees_with_what_the_receiver_saw(
    make_system, tmp_path, caplog
):
    caplog.set_level(logging.WARNING, logger="httpx")
    async with make_system() as system:
        reached = await start_gateway(system)
        url = await _receiver(system, tmp_path / "receiver")
        headers = {"authorization": f"Bearer {reached['CLEPSYDRA_API_KEY']}"}
        limits = httpx.Limits(max_connections=SIDE_BY_SIDE)
        clients = [
            httpx.AsyncClient(base_url=reached["CLEPSYDRA_URL"], headers=headers, timeout=30, limits=limits)
            for _ in range(CLIENTS)
        ]
        try:
            for run in range(RUNS):
                await _run(clients, url, run)
        finally:
            for client in clients:
                await client.aclose()


async def _run(clients: list[httpx.AsyncClient], url: str, run: int) -> None:
    due_ms = now_ms() + 6_000
    ids = [f"race-{run}-{n}" for n in range(COUNT)]
    await _schedule(clients[0], ids, due_ms, url)
    shots = _plan(ids, due_ms, random.Random(run))
    shares = [shots[n::CLIENTS] for n in range(CLIENTS)]
    assert now_ms() < due_ms - LEAD_MS, "scheduling took too long for a race"
    done = await asyncio.gather(*(_fire(client, share) for client, share in zip(clients, shares, strict=True)))
    fired = {shot.id: shot for share in done for shot in share}
    expected = {id_ for id_ in ids if not (fired[id_].kind == "cancel" and fired[id_].accepted)}
    arrivals = await _arrived(clients[0], url, expected, f"race-{run}-")
    _judge(fired, arrivals, due_ms, run)


async def _schedule(client: httpx.AsyncClient, ids: list[str], due_ms: int, url: str) -> None:
    due_at = rfc3339(due_ms)
    message = {"due_at": due_at, "channel": "webhook", "to": url}
    lines = [msgspec.json.encode(message | {"id": id_, "body": _body(due_ms, "first")}) for id_ in ids]
    answer = await client.post("/v1/messages/bulk", content=b"\n".join(lines))
    results = [msgspec.json.decode(line)["status"] for line in answer.content.splitlines()]
    assert results == [201] * len(ids)


def _plan(ids: list[str], due_ms: int, dice: random.Random) -> list[Shot]:
    """Of all messages half are edited and half are cancelled, at random moments around the instant."""
    shots = [
        Shot(id_, dice.choice(("edit", "cancel")), due_ms + int(dice.triangular(-LEAD_MS, TAIL_MS, 0))) for id_ in ids
    ]
    return sorted(shots, key=lambda shot: shot.at_ms)


async def _fire(client: httpx.AsyncClient, shots: list[Shot]) -> list[Shot]:
    """In order of their times, a few at once; a request without an answer is repeated with its key."""
    waiting, done = list(reversed(shots)), []

    async def one_after_another() -> None:
        while waiting:
            shot = waiting.pop()
            await asyncio.sleep(max(0, shot.at_ms - now_ms()) / 1_000)
            done.append(await _ask(client, shot))

    await asyncio.gather(*(one_after_another() for _ in range(SIDE_BY_SIDE)))
    return done


async def _ask(client: httpx.AsyncClient, shot: Shot) -> Shot:
    path, key = f"/v1/messages/{shot.id}", {"idempotency-key": f"{shot.kind} {shot.id}"}
    while True:
        if shot.kind == "edit":
            answer = await client.patch(path, json={"body": _body(shot.at_ms, "second")}, headers=key)
        else:
            answer = await client.delete(path, headers=key)
        if answer.status_code not in (503, 504):
            return shot._replace(status=answer.status_code, answer=answer.json())


async def _arrived(client: httpx.AsyncClient, url: str, ids: set[str], prefix: str) -> dict[str, list[tuple[int, str]]]:
    """What the receiver has of each message of this run, once it has all that it should."""
    found: dict[str, list[tuple[int, str]]] = {}

    async def all_there() -> bool:
        found.clear()
        for key, at_ms, _, body in (await client.get(url.replace("/hook", "/arrivals"))).json():
            if key.startswith(prefix):
                found.setdefault(key.rpartition("/")[0], []).append((at_ms, body["text"]))
        return ids <= found.keys()

    await until(all_there, 60, lambda: sorted(ids - found.keys())[:20])
    return found


def _judge(fired: dict[str, Shot], arrivals: dict[str, list[tuple[int, str]]], due_ms: int, run: int) -> None:
    verdicts: Counter[str] = Counter()
    for id_, shot in fired.items():
        seen = [text for _, text in arrivals.get(id_, [])]
        verdicts[f"{shot.kind} {'accepted' if shot.accepted else 'too_late'}"] += 1
        if shot.accepted:
            expected = [] if shot.kind == "cancel" else ["second"]
        else:
            assert (shot.status, shot.answer["type"]) == (409, "urn:clepsydra:problem:too_late"), shot
            assert shot.answer["state"] in ("emitted", "delivered"), shot
            expected = ["first"]
        assert seen == expected, f"{shot}: the receiver saw {seen}"
    early = {id_: at for id_, seen in arrivals.items() for at, _ in seen if at < due_ms}
    assert not early, early
    assert (
        min(verdicts[v] for v in ("edit accepted", "edit too_late", "cancel accepted", "cancel too_late")) >= AT_LEAST
    ), f"this was no race: {verdicts}"
    logger.info("race %d: %s", run, dict(sorted(verdicts.items())))


def _body(due_ms: int, text: str) -> dict[str, Any]:
    return {"due_ms": due_ms, "text": text}


async def _receiver(system: System, port_file: Path) -> str:
    system.keep(system.worker("scheduler", "receiver", [sys.executable, str(PROCESS), str(port_file)]))
    return await until(lambda: port_file.exists() and port_file.read_text())
