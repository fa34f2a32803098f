"""`clepsydra doctor`: what is wrong with this set-up, and what to do about it."""

import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import aiohttp
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from msgspec import Struct

from gateway.cli_topics import all_specs
from gateway.client import reason
from gateway.version import version
from schemas.times import at
from topology.archive_errors import ArchiveAwayError
from topology.clients import client_arguments
from topology.settings import Settings, SettingsError, load_settings
from topology.topic_admin import check_topics

PYTHON_MIN = (3, 11)
FREE_BYTES_MIN = 1 << 30
CLOCK_OFF_S_MAX = 2.0
BUILT = datetime(2026, 1, 1, tzinfo=UTC)
TIMEOUT_S = 5
BEHIND_MAX = 10_000
"""Half a second's work of an archivist: more than that is not its pace."""
ARCHIVIST_REMEDY = "see whether `clepsydra worker archivist` runs, and its log"
KAFKA_REMEDY = "start it (`clepsydra dev` brings one), or correct CLEPSYDRA_BROKERS"


class Finding(Struct, frozen=True):
    """One check: `ok`, or `wrong` / `note` with the remedy."""

    check: str
    verdict: Literal["ok", "note", "wrong"]
    found: str
    remedy: str = ""


async def examine(url: str, api_key: str | None, now_ms: int) -> list[Finding]:
    """All checks, in the order in which to mend."""
    findings = [_python()]
    try:
        settings = load_settings()
    except SettingsError as fault:
        return [*findings, Finding("settings", "wrong", "; ".join(fault.faults), "correct these variables")]
    findings += [
        Finding("settings", "ok", f"of this shell: prefix {settings.prefix}, {settings.partitions} partitions"),
        _data(settings),
    ]
    findings += [finding async for finding in _kafka(settings)]
    findings += [finding async for finding in _archive(settings, url, api_key)]
    findings += [finding async for finding in _gateway(url, api_key, now_ms)]
    return findings


def _python() -> Finding:
    found = f"Python {sys.version.split()[0]}, Clepsydra {version()}"
    if sys.version_info < PYTHON_MIN:
        return Finding("python", "wrong", found, "install Python 3.11 or newer")
    return Finding("python", "ok", found)


def _data(settings: Settings) -> Finding:
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.data):
            free = shutil.disk_usage(settings.data).free
    except OSError as fault:
        remedy = "make it writable, or set CLEPSYDRA_DATA to a directory that is"
        return Finding("data directory", "wrong", f"{settings.data}: {fault.strerror}", remedy)
    found = f"{settings.data}, {free / 1e9:.1f} GB free"
    if free < FREE_BYTES_MIN:
        return Finding("data directory", "wrong", found, "free some space, or set CLEPSYDRA_DATA to another disk")
    return Finding("data directory", "ok", found)


async def _kafka(settings: Settings) -> AsyncIterator[Finding]:
    admin = AIOKafkaAdminClient(**client_arguments(settings), request_timeout_ms=TIMEOUT_S * 1000)
    try:
        await admin.start()
        yield Finding("kafka", "ok", f"{settings.brokers} answers")
        specs = all_specs(settings)
        found = await check_topics(admin, specs, replication=settings.replication)
        if not found:
            yield Finding("topics", "ok", f"{len(specs)} topics are as they should be")
        missing = [f.topic for f in found if f.problem == "does not exist"]
        if missing:
            yield Finding(
                "topics", "wrong", f"{len(missing)} are missing: {', '.join(missing)}", "run `clepsydra topics create`"
            )
        for finding in found:
            if finding.topic not in missing:
                said = f"{finding.topic} {finding.problem}"
                yield Finding("topics", "wrong" if finding.fatal else "note", said, finding.remedy)
    except KafkaConnectionError:
        yield Finding("kafka", "wrong", f"no broker answers at {settings.brokers}", KAFKA_REMEDY)
    except KafkaError as fault:
        yield Finding("kafka", "wrong", f"{settings.brokers}: {fault}", KAFKA_REMEDY)
    finally:
        await admin.close()


async def _archive(settings: Settings, url: str, api_key: str | None) -> AsyncIterator[Finding]:
    """PostgreSQL, and how far the archivist has come in it."""
    from gateway.cli_archive import read_status  # noqa: PLC0415  it needs the driver, which no other check does

    if settings.postgres is None:
        yield await _archive_of_gateway(url, api_key)
        return
    try:
        status = await read_status(settings)
    except ArchiveAwayError as away:
        yield Finding("archive", "wrong", away.why, away.remedy)
    except KafkaError as fault:
        yield Finding("archive", "note", f"PostgreSQL answers; how far it is cannot be told without Kafka ({fault})")
    else:
        found = f"{status.behind} events behind, {status.rows['messages']} messages"
        if status.as_of is None:
            yield Finding("archive", "wrong", "no archivist has begun", ARCHIVIST_REMEDY)
        elif status.behind > BEHIND_MAX:
            yield Finding("archive", "wrong", found, ARCHIVIST_REMEDY)
        else:
            yield Finding("archive", "ok", found)


async def _archive_of_gateway(url: str, api_key: str | None) -> Finding:
    """This shell does not say where PostgreSQL is: whether the gateway has it."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    remedy = "set CLEPSYDRA_POSTGRES and run `clepsydra worker archivist`, if lists are wanted"
    here = "CLEPSYDRA_POSTGRES is not set here"
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=_authorized(api_key)) as session,
            session.get(f"{url.rstrip('/')}/v1/messages?limit=1") as response,
        ):
            status, answer = response.status, await response.json()
    except (TimeoutError, aiohttp.ClientError, ValueError):
        return Finding(
            "archive", "note", f"{here}, and the gateway does not say: a gateway without it has no lists", remedy
        )
    match status:
        case 200:
            return Finding("archive", "ok", f"the gateway's is as of {answer['as_of'] or 'no time yet'}")
        case 503:
            return Finding("archive", "note", f"the gateway has none: {answer['detail']}; all but lists works", remedy)
        case _:
            return Finding("archive", "note", f"{here}; the gateway was not asked: no API key, or a wrong one")


def _authorized(api_key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


async def _gateway(url: str, api_key: str | None, now_ms: int) -> AsyncIterator[Finding]:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    start = "start `clepsydra gateway`, or give --url / CLEPSYDRA_URL"
    try:
        async with aiohttp.ClientSession(timeout=timeout, headers=_authorized(api_key)) as session:
            async with session.get(f"{url.rstrip('/')}/readyz") as response:
                status, date = response.status, response.headers.get("date")
            if status != 200:
                yield Finding(
                    "gateway", "wrong", f"{url} is not ready ({status})", "see its log: it cannot reach Kafka"
                )
                return
            yield Finding("gateway", "ok", f"{url} is ready")
            yield _clock(date, now_ms)
            async with session.get(f"{url.rstrip('/')}/v1/messages/doctor") as response:
                yield _owner(response.status)
    except (TimeoutError, aiohttp.ClientError, ValueError) as fault:
        yield Finding("gateway", "wrong", f"{url} does not answer ({reason(fault)})", start)
        yield _clock(None, now_ms)


def _owner(status: int) -> Finding:
    match status:
        case 200 | 404:
            return Finding("scheduler", "ok", "the owner of a message answers")
        case 401:
            return Finding("scheduler", "note", "not asked: no API key, or a wrong one", "set CLEPSYDRA_API_KEY")
        case _:
            remedy = "start `clepsydra worker scheduler`, and see its log"
            return Finding("scheduler", "wrong", f"the owner of a message does not answer ({status})", remedy)


def _clock(date: str | None, now_ms: int) -> Finding:
    """Against the gateway's `Date` (whole seconds), or at least the year of this release."""
    remedy = "synchronise the clocks (chrony, systemd-timesyncd): messages are sent by the machine's clock"
    now = at(now_ms)
    if now < BUILT:
        return Finding("clock", "wrong", f"it is set to {now:%Y-%m-%d}", remedy)
    if date is None:
        return Finding("clock", "ok", f"{now:%Y-%m-%dT%H:%M:%SZ} is possible; there was no other clock to compare with")
    off_s = abs((parsedate_to_datetime(date) - now).total_seconds())
    if off_s > CLOCK_OFF_S_MAX:
        return Finding("clock", "wrong", f"{off_s:.0f} s away from the gateway's", remedy)
    return Finding("clock", "ok", "within 2 s of the gateway's")
