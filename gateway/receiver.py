"""A webhook receiver that does what every receiver should: checks signature and time, drops repeats by key.

Run as a process of its own (`python -m gateway.receiver PORT`), so that what it measures is not measured by the sender.
It answers `GET /report`.
"""

import asyncio
import hmac
import os
import sys
from base64 import b64decode, b64encode

import msgspec
import uvloop
from aiohttp import web
from msgspec import Struct

from agents.ports import Clock
from topology.clock import SystemClock

TOLERANCE_S = 5 * 60
"""Between `webhook-timestamp` and now (Standard Webhooks, "Verifying webhook authenticity")."""


class Herd(Struct, frozen=True):
    """The body of a webhook of the demo."""

    number: int
    due_ms: int


class Report(Struct, kw_only=True):
    """What arrived so far. Lateness in ms, in the order of arrival; `forged`: wrong signature or time."""

    received: int = 0
    duplicates: int = 0
    repeats_dropped: int = 0
    early: int = 0
    forged: int = 0
    lateness_ms: list[int] = []


class Receiver:
    """Keeps the keys that it has seen, and the numbers in their bodies: the same number by two keys is a duplicate."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret = b64decode(secret.removeprefix("whsec_"))
        self._clock = clock
        self._keys: set[str] = set()
        self._numbers: set[int] = set()
        self.report = Report()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """One request: a webhook, or someone who asks for the report."""
        if request.method == "GET":
            return web.Response(body=msgspec.json.encode(self.report), content_type="application/json")
        body = await request.read()
        now_ms = self._clock.now_ms()
        if not self._genuine(request, body, now_ms):
            self.report.forged += 1
            return web.Response(status=401)
        self.take(request.headers["webhook-id"], msgspec.json.decode(body, type=Herd), now_ms)
        return web.Response(status=204)

    def take(self, key: str, herd: Herd, now_ms: int) -> None:
        """Counts an arrival."""
        if key in self._keys:
            self.report.repeats_dropped += 1
            return
        self._keys.add(key)
        self.report.duplicates += herd.number in self._numbers
        self._numbers.add(herd.number)
        self.report.received += 1
        self.report.early += now_ms < herd.due_ms
        self.report.lateness_ms.append(now_ms - herd.due_ms)

    def _genuine(self, request: web.BaseRequest, body: bytes, now_ms: int) -> bool:
        sent_at = request.headers.get("webhook-timestamp", "")
        if not sent_at.isdigit() or abs(int(sent_at) - now_ms / 1000) > TOLERANCE_S:
            return False
        signed = f"{request.headers.get('webhook-id', '')}.{sent_at}.".encode() + body
        wanted = "v1," + b64encode(hmac.digest(self._secret, signed, "sha256")).decode()
        given = request.headers.get("webhook-signature", "").split()
        return any(hmac.compare_digest(each, wanted) for each in given)


async def serve(port: int, secret: str) -> None:
    """Listens on loopback until the process is told to end."""
    receiver = Receiver(secret, SystemClock())
    runner = web.ServerRunner(web.Server(receiver.handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), os.environ["CLEPSYDRA_WEBHOOK_SECRET"]))
