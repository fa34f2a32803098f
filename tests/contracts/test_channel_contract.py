"""What every channel keeps to; a new file in agents/channels is taken up by itself."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import get_args

import pytest
from msgspec import Raw, json

from agents.channels import found_channels
from agents.channels.settings import ChannelFactory, ChannelSettings
from schemas.due import DueMessage
from schemas.outcomes import Deferred, Outcome, RetryLater

TIMEOUT_MS = 600
SLACK_S = 3
CHANNELS = sorted(found_channels())
WAITS_FOR_NOBODY = {"log"}
TO = {"kafka": "orders", "email": "me@example.com", "apprise": "json://127.0.0.1:{port}/"}
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)

ORDINARY = DueMessage(
    partition=0, epoch=1, emitted_at=AT, id="m1", key="m1/0", target=0, birth=7, turn=0, revision=1, attempt=1,
    due_at=AT, channel="", to="me", body=Raw(b'{"text":"hi"}'),
)  # fmt: skip

NASTY = {
    "no address": {"to": ""},
    "a blank": {"to": " "},
    "not an address": {"to": "http://[::1"},
    "control characters": {"to": "http://example.com/\r\nX: 1\x00"},
    "a lone surrogate": {"to": "http://\ud800.example/"},
    "an unknown host": {"to": "http://no-such-host.invalid/"},
    "a label too long": {"to": f"http://{'a' * 300}.example/"},
    "a very long address": {"to": "http://127.0.0.1:9/" + "a" * 100_000},
    "a scheme of its own": {"to": "gopher://127.0.0.1/"},
    "nobody there": {"to": "http://127.0.0.1:9/"},
    "a huge header": {"to": "http://127.0.0.1:9/", "headers": {"X-Huge": "a" * 1_000_000}},
    "a header with line ends": {"to": "http://127.0.0.1:9/", "headers": {"X-A": "1\r\nX-B: 2"}},
    "a header without a name": {"to": "http://127.0.0.1:9/", "headers": {"": "1"}},
    "a header with a surrogate": {"to": "orders", "headers": {"X-A": "\udcff"}},
    "a broken body": {"to": "orders", "body": Raw(b'"\\ud800'), "content_type": "\r\n"},
    "no base64": {"to": "http://127.0.0.1:9/", "body": Raw(b""), "body_base64": "%"},
    "an odd key": {"to": "http://127.0.0.1:9/", "key": "\x00\u202e\ud800 %\r\n"},
}


class RealClock:
    """The system's clock."""

    def now_ms(self):
        return time.time_ns() // 1_000_000

    async def sleep_ms(self, ms):
        await asyncio.sleep(ms / 1_000)


@asynccontextmanager
async def nobody_answers():
    """A server that takes what it is sent and says nothing; gives its port."""
    writers = []

    async def connected(reader, writer):
        writers.append(writer)
        await reader.read()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()


def made(name, **settings):
    ordinary = {
        "webhook_allow_private": ("127.0.0.0/8",), "webhook_timeout_ms": TIMEOUT_MS,
        "kafka_topics": ("orders", "me"), "kafka_timeout_ms": TIMEOUT_MS, "brokers": "127.0.0.1:9",
        "email_server": "127.0.0.1:9", "email_from": "me@example.com", "email_tls": "none", "email_timeout_ms": TIMEOUT_MS,
        "apprise_schemes": ("json",), "apprise_timeout_ms": TIMEOUT_MS,
    }  # fmt: skip
    return found_channels()[name](ChannelSettings(**(ordinary | settings)), RealClock())


@pytest.fixture(params=CHANNELS)
async def channel(request):
    it = made(request.param)
    await it.start()
    yield it
    await it.stop()


def is_outcome(result):
    return isinstance(result, get_args(Outcome)) and json.decode(json.encode(result), type=Outcome) == result


@pytest.mark.parametrize("name", CHANNELS)
def test_it_says_what_it_is_without_being_started_outside_a_loop(name):
    factory = found_channels()[name]
    channel = made(name)
    assert isinstance(factory, ChannelFactory)
    assert (factory.name, channel.name) == (name, name)
    assert type(channel.honours_key) is bool
    assert all(type(delay) is int and delay > 0 for delay in channel.delays_ms)
    assert 0 < channel.timeout_ms <= 60_000
    assert channel.concurrency > 0


@pytest.mark.parametrize("name", CHANNELS)
async def test_starting_and_stopping_may_be_repeated(name):
    channel = made(name)
    await channel.stop()
    await channel.start()
    await channel.start()
    await channel.stop()
    await channel.stop()
    await channel.start()
    assert is_outcome(await channel.send(ORDINARY))
    await channel.stop()


@pytest.mark.parametrize("fields", NASTY.values(), ids=NASTY.keys())
async def test_whatever_it_is_given_it_answers_with_an_outcome_that_can_be_written_down(channel, fields):
    message = json.decode(json.encode(ORDINARY), type=DueMessage)
    nasty = type(message)(**({f: getattr(message, f) for f in message.__struct_fields__} | fields))
    assert is_outcome(await channel.send(nasty))
    assert is_outcome(await channel.send(nasty))


async def test_a_nasty_message_harms_no_other(channel):
    alone = await channel.send(ORDINARY)
    nasty = [DueMessage(**({f: getattr(ORDINARY, f) for f in ORDINARY.__struct_fields__} | x)) for x in NASTY.values()]
    *_, beside = await asyncio.gather(*map(channel.send, nasty), channel.send(ORDINARY))
    assert type(beside) is type(alone)


async def test_sending_decides_nothing_that_is_the_couriers_to_decide(channel):
    assert not isinstance(await channel.send(ORDINARY), Deferred)


@pytest.mark.parametrize("name", [n for n in CHANNELS if n not in WAITS_FOR_NOBODY])
async def test_a_receiver_that_never_answers_is_given_up_in_time(name):
    async with nobody_answers() as port:
        channel = made(name, brokers=f"127.0.0.1:{port}", email_server=f"127.0.0.1:{port}")
        await channel.start()
        to = TO.get(name, "http://127.0.0.1:{port}/").format(port=port)
        began = time.monotonic()
        outcome = await channel.send(
            DueMessage(**{f: getattr(ORDINARY, f) for f in ORDINARY.__struct_fields__} | {"to": to})
        )
        took_s = time.monotonic() - began
        await channel.stop()
    assert isinstance(outcome, RetryLater)
    assert took_s < channel.timeout_ms / 1_000 + SLACK_S


@pytest.mark.parametrize("name", CHANNELS)
async def test_it_can_be_cancelled_and_used_again(name):
    async with nobody_answers() as port:
        channel = made(name, brokers=f"127.0.0.1:{port}", email_server=f"127.0.0.1:{port}")
        await channel.start()
        sending = asyncio.create_task(channel.send(ORDINARY))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait({sending})
        assert is_outcome(await channel.send(ORDINARY))
        await channel.stop()
