"""Requests that a sender could make the courier send to places that are not his (OWASP, server-side request forgery)."""

import socket
from typing import Any

import pytest
from aiohttp import web

import agents.channels.webhook_address as address
from schemas.outcomes import Delivered, Rejected

NOT_PUBLIC = "is not an address of the public internet"

REFUSED = {
    "http://127.0.0.1/": "127.0.0.1 " + NOT_PUBLIC,
    "http://127.8.9.1:8080/": "127.8.9.1 " + NOT_PUBLIC,
    "http://localhost/": "localhost is at ",
    "http://[::1]/": "::1 " + NOT_PUBLIC,
    "http://0.0.0.0/": "0.0.0.0 " + NOT_PUBLIC,
    "http://169.254.169.254/latest/meta-data": "169.254.169.254 " + NOT_PUBLIC,
    "http://10.0.0.1/": "10.0.0.1 " + NOT_PUBLIC,
    "http://192.168.1.1/": "192.168.1.1 " + NOT_PUBLIC,
    "http://[fe80::1]/": "fe80::1 " + NOT_PUBLIC,
    "http://[fd00::1]/": "fd00::1 " + NOT_PUBLIC,
    "http://[::ffff:127.0.0.1]/": "::ffff:7f00:1 " + NOT_PUBLIC,
    "http://[::ffff:a9fe:a9fe]/": "::ffff:a9fe:a9fe " + NOT_PUBLIC,
    "http://[64:ff9b::7f00:1]/": "64:ff9b::7f00:1 " + NOT_PUBLIC,
    "http://[2002:7f00:1::]/": "2002:7f00:1:: " + NOT_PUBLIC,
    "http://2130706433/": "2130706433 is no name and not an address as RFC 3986 writes it",
    "http://0x7f.1/": "0x7f.1 is no name and not an address as RFC 3986 writes it",
    "http://0177.0.0.1/": "0177.0.0.1 is no name and not an address as RFC 3986 writes it",
    "http://user:pass@127.0.0.1/": "`to` holds a user or password",
    "file:///etc/passwd": "`to` is not a URL like https://example.com/hook",
    "gopher://127.0.0.1:6379/": "`to` is not a URL like https://example.com/hook",
}


@pytest.mark.parametrize("url", REFUSED)
async def test_each_is_refused_with_its_reason(make_webhook, due, url):
    channel = await make_webhook(webhook_allow_private=False)
    outcome = await channel.send(due(to=url))
    assert isinstance(outcome, Rejected)
    assert REFUSED[url] in outcome.reason


async def test_a_name_that_resolves_to_a_private_address_is_refused(make_webhook, due, monkeypatch):
    resolves_to(monkeypatch, "10.1.2.3")
    channel = await make_webhook(webhook_allow_private=False)
    outcome = await channel.send(due(to="http://intranet.example/"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith("intranet.example is at 10.1.2.3 " + NOT_PUBLIC)


async def test_a_name_that_is_bound_anew_between_two_requests_is_refused(make_webhook, receiver, due, monkeypatch):
    """Rebinding: 127.0.0.1 stands for a public address here, 127.0.0.2 for one that is not."""

    async def once(_request: web.Request) -> web.Response:
        return web.Response(headers={"Connection": "close"})

    receiver.answer = once
    channel = await make_webhook(webhook_allow_private=("127.0.0.1/32",))
    url = receiver.url.replace("127.0.0.1", "rebound.example")
    resolves_to(monkeypatch, "127.0.0.1")
    assert isinstance(await channel.send(due(to=url)), Delivered)
    resolves_to(monkeypatch, "127.0.0.2")
    assert isinstance(await channel.send(due(to=url)), Delivered), (
        "for some seconds the address that was checked is used"
    )
    channel._pool.clear_dns_cache()
    outcome = await channel.send(due(to=url))
    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith("rebound.example is at 127.0.0.2 " + NOT_PUBLIC)


async def test_a_redirect_to_a_private_address_is_not_followed(webhook, receiver, due):
    async def elsewhere(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://169.254.169.254/"})

    receiver.answer = elsewhere
    outcome = await webhook.send(due(to=receiver.url))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "302 Found: redirects are not followed; send to the address that it names"
    assert len(receiver.got) == 1


def resolves_to(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    def look_up(_host: str, port: int, **_more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]

    monkeypatch.setattr(address.socket, "getaddrinfo", look_up)
