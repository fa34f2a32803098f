"""`clepsydra demo`: the 8:00 spike on this machine, against a receiver that checks keys."""

import asyncio
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec
from msgspec import Struct
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from gateway.client import TIMEOUT_S
from gateway.errors import UserError
from gateway.local import LocalStack
from gateway.output import console, table
from gateway.processes import usage
from gateway.receiver import Herd, Report
from gateway.supervisor import ChildSpec
from schemas.times import at, rfc3339
from topology.clock import SystemClock
from topology.embedded_process import free_port
from topology.settings import Settings

SENDERS = 200
HEAD_START_MS = 10_000
ACCEPTED_PER_S = 400
"""A guess on the low side, for choosing a due time that lies after the last acceptance."""
QUIET_S = 15.0
"""After the due time, the demo gives up when nothing arrived for so long."""
SETTLE_S = 1.0
"""After the last arrival: a repeat would come now."""
LOOK_AGAIN_S = 0.25


class Lateness(Struct, kw_only=True):
    """In ms: the receiver's clock when it had the message in hand, minus the due time."""

    p50: int
    p99: int
    max: int


class Result(Struct, kw_only=True):
    """What `--json FILE` holds."""

    messages: int
    received: int
    duplicates: int
    early: int
    lost: int
    repeats_dropped: int
    lateness_ms: Lateness
    seconds: float

    @property
    def perfect(self) -> bool:
        """Whether every message arrived exactly once and none early."""
        return self.received == self.messages and not (self.duplicates or self.early or self.lost)


class Progress(Struct):
    """For the live table."""

    messages: int
    due_ms: int = 0
    accepted: int = 0
    report: Report = msgspec.field(default_factory=Report)

    def shown(self, now_ms: int) -> Table:
        """One row of numbers."""
        rows = table("accepted", "pending", "in flight", "delivered", "late p50", "late max", "due")
        waiting = self.accepted - self.report.received
        is_due = 0 < self.due_ms <= now_ms
        late = sorted(self.report.lateness_ms)
        due = "" if not self.due_ms else "now" if is_due else f"in {(self.due_ms - now_ms) / 1000:.1f} s"
        rows.add_row(
            f"{self.accepted} of {self.messages}",
            str(0 if is_due else waiting),
            str(waiting if is_due else 0),
            f"[green]{self.report.received}[/]",
            f"{percentile(late, 50)} ms" if late else "-",
            f"{late[-1]} ms" if late else "-",
            due,
        )
        return rows


def percentile(ordered: Sequence[int], percent: int) -> int:
    """The nearest-rank percentile of sorted numbers; 0 of none."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0


def result_of(messages: int, report: Report, seconds: float) -> Result:
    """The verdict."""
    late = sorted(report.lateness_ms)
    lateness = Lateness(p50=percentile(late, 50), p99=percentile(late, 99), max=percentile(late, 100))
    return Result(
        messages=messages,
        received=report.received,
        duplicates=report.duplicates,
        early=report.early,
        lost=messages - (report.received - report.duplicates),
        repeats_dropped=report.repeats_dropped,
        lateness_ms=lateness,
        seconds=round(seconds, 1),
    )


async def run_demo(settings: Settings, messages: int) -> Result:
    """How it went, told on the terminal too. Raises UserError, EmbeddedServerError."""
    out = console()
    running = asyncio.current_task()
    assert running is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)  # stop the children, clean up
    began_ms = SystemClock().now_ms()
    with tempfile.TemporaryDirectory(prefix="clepsydra-demo-") as data:
        out.print(f"Starting Kafka, PostgreSQL, our processes and a webhook receiver in {data} ...")
        stack = LocalStack(Path(data), port=0, tell=lambda line: out.print(escape(line)), settings=settings)
        async with stack:
            receiver = await _start_receiver(stack)
            await stack.ready()
            progress = await _spike(stack, receiver, messages)
            seconds = (SystemClock().now_ms() - began_ms) / 1000
            result = result_of(messages, progress.report, seconds)
            _say(stack, progress, result)
    return result


async def _start_receiver(stack: LocalStack) -> str:
    port = free_port()
    assert stack.settings.webhook_secret is not None
    environment = {"CLEPSYDRA_WEBHOOK_SECRET": stack.settings.webhook_secret.get_secret_value()}
    arguments = ["gateway.receiver", str(port)]
    await stack.supervisor.start(ChildSpec(name="receiver", arguments=arguments, environment=environment, grace_s=2))
    return f"http://127.0.0.1:{port}"


async def _spike(stack: LocalStack, receiver: str, messages: int) -> Progress:
    clock = SystemClock()
    progress = Progress(messages)
    with Live(console=console(), refresh_per_second=8) as live:
        watching = asyncio.create_task(_watch(progress, receiver, live))
        start_ms = clock.now_ms()
        progress.due_ms = -(-(start_ms + HEAD_START_MS + messages * 1000 // ACCEPTED_PER_S) // 1000) * 1000
        try:
            await _schedule(stack, receiver, progress)
            accept_s = (clock.now_ms() - start_ms) / 1000
            live.console.print(
                f"{messages} messages accepted in {accept_s:.1f} s ({messages / accept_s:.0f}/s), "
                f"all due at {rfc3339(progress.due_ms)}"
            )
            await watching
        finally:
            watching.cancel()
            await asyncio.wait([watching])
    return progress


async def _watch(progress: Progress, receiver: str, live: Live) -> None:
    """Ends when all have arrived and no repeat came after, or when nothing comes any more."""
    clock = SystemClock()
    last_ms, last = clock.now_ms(), -1
    async with aiohttp.ClientSession() as session:
        while True:
            await clock.sleep_ms(LOOK_AGAIN_S * 1000)
            try:
                async with session.get(f"{receiver}/report") as response:
                    progress.report = msgspec.json.decode(await response.read(), type=Report)
            except aiohttp.ClientError:
                continue
            now_ms = clock.now_ms()
            live.update(Group(progress.shown(now_ms)))
            if progress.report.received != last or now_ms < progress.due_ms:
                last_ms, last = now_ms, progress.report.received
            patience_s = SETTLE_S if progress.report.received >= progress.messages else QUIET_S
            if now_ms - last_ms > patience_s * 1000:
                return


async def _schedule(stack: LocalStack, receiver: str, progress: Progress) -> None:
    """By the same door as everyone: POST /v1/messages. Raises UserError at the first that is not accepted."""
    assert stack.settings.api_key is not None
    headers = {"Authorization": f"Bearer {stack.settings.api_key.get_secret_value()}"}
    numbers = iter(range(progress.messages))
    due_at = at(progress.due_ms)

    async def sender(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            body = {
                "id": f"post-{number}",
                "due_at": due_at,
                "channel": "webhook",
                "to": f"{receiver}/hook",
                "content_type": "application/json",
                "body": Herd(number, progress.due_ms),
                "metadata": {"text": "Good morning! " * 12},
            }
            async with session.post("/v1/messages", data=msgspec.json.encode(body)) as response:
                if response.status not in (200, 201):
                    raise UserError(f"message {number} was not accepted: {response.status} {await response.text()}")
            progress.accepted += 1

    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(stack.url, headers=headers, timeout=timeout) as session:
            await asyncio.gather(*(sender(session) for _ in range(SENDERS)))
    except (aiohttp.ClientError, TimeoutError) as fault:
        raise UserError(f"the gateway failed ({fault!r}): see gateway.log in {stack.logs}") from fault


def _say(stack: LocalStack, progress: Progress, result: Result) -> None:
    out = console()
    late = result.lateness_ms
    colour, word = ("green", "all arrived exactly once, none early") if result.perfect else ("red", "NOT as promised")
    out.print(f"\n[bold {colour}]{result.received} of {result.messages} received: {word}[/]")
    out.print(
        f"duplicates {result.duplicates}, lost {result.lost}, early {result.early}, "
        f"repeats dropped by key {result.repeats_dropped}, wrong signatures {progress.report.forged}"
    )
    out.print(f"lateness at the receiver: p50 {late.p50} ms, p99 {late.p99} ms, max {late.max} ms\n")
    used = table("process", "CPU s", "memory MB", "restarts")
    pids = [("kafka", stack.kafka.pid, 0), ("postgres", stack.postgres.pid, 0)]
    pids += [(child.spec.name, child.pid or 0, child.restarts) for child in stack.supervisor.children]
    for name, pid, restarts in pids:
        found = usage(pid)
        used.add_row(
            name, *(("-", "-") if found is None else (f"{found.cpu_s:.1f}", f"{found.memory_mb:.0f}")), str(restarts)
        )
    out.print(used)
    out.print(
        "\nNext:\n"
        "  clepsydra dev                       everything on this machine, with an API key for you\n"
        "  clepsydra send --in 5s --to URL     schedule a webhook\n"
        "  clepsydra demo --messages 20000     a larger spike\n"
        "  clepsydra --help\n"
    )
