"""The apprise channel: only allowed networks, its URL as a secret, failures as doubts. A notification goes to loopback."""

import json

import pytest
from aiohttp import web
from msgspec import Raw

from agents.channels.apprise import CHANNEL, AppriseChannel
from agents.channels.settings import ChannelSettings
from schemas.outcomes import Delivered, Rejected, RetryLater


@pytest.fixture
async def made(clock):
    channels = []

    async def make(**settings: object) -> AppriseChannel:
        channel = AppriseChannel(ChannelSettings(**({"apprise_schemes": ("json",)} | settings)), clock)
        channels.append(channel)
        await channel.start()
        return channel

    yield make
    for channel in channels:
        await channel.stop()


@pytest.fixture
def url(receiver) -> str:
    """Apprise's own plain webhook, to the test's receiver."""
    return receiver.url.replace("http://", "json://")


async def test_a_notification_arrives(made, receiver, url, due):
    outcome = await (await made()).send(due(to=url, body=Raw(b'"hi"'), headers={"Subject": "Hallo"}))
    assert outcome == Delivered()
    got = json.loads(receiver.got[0][1])
    assert (got["title"], got["message"]) == ("Hallo", "hi")


async def test_the_url_may_be_a_secret(made, receiver, url, due):
    channel = await made(secrets={"CHAT": url}.get)
    assert await channel.send(due(to="secret:CHAT", body=Raw(b'"hi"'))) == Delivered()
    missing = await channel.send(due(to="secret:OTHER", body=Raw(b'"hi"')))
    assert isinstance(missing, RetryLater)
    assert missing.reason.startswith("this courier has no secret 'OTHER'")


async def test_only_allowed_networks_are_asked(made, receiver, url, due):
    outcome = await (await made(apprise_schemes=("slack",))).send(due(to=url))
    assert outcome == Rejected(reason="'json' is not among the schemes that CLEPSYDRA_APPRISE_SCHEMES allows (slack)")
    assert receiver.got == []


async def test_a_failure_is_a_doubt_since_apprise_tells_no_more(made, receiver, url, due):
    async def failed(_request: web.Request) -> web.Response:
        return web.Response(status=500)

    receiver.answer = failed
    outcome = await (await made()).send(due(to=url, body=Raw(b'"hi"')))
    assert isinstance(outcome, RetryLater)
    assert outcome.maybe_sent


async def test_what_apprise_does_not_know_is_rejected(made, due):
    outcome = await (await made(apprise_schemes=("slack",))).send(due(to="slack://"))
    assert isinstance(outcome, Rejected)


def test_it_is_off_until_networks_are_allowed():
    assert CHANNEL.missing(ChannelSettings()).startswith("set CLEPSYDRA_APPRISE_SCHEMES")
    assert CHANNEL.missing(ChannelSettings(apprise_schemes=("slack",))) == ""
