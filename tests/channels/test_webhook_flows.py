"""What is set for a flow or account while the channel runs: its own secrets, its time limit; and URLs that are gone."""

import asyncio
import time
from datetime import timedelta

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from agents.flows import Flows
from schemas.flow_limits import FlowLimits
from schemas.outcomes import Deferred, Delivered, Rejected, RetryLater
from schemas.settings_records import Flow, StoppedEndpoint
from schemas.times import DAY, at
from topology.secrets_store import Secrets

OLD = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
NEW = "whsec_ZWluIGdhbnogYW5kZXJlciBTY2hsw7xzc2Vs"


@pytest.fixture
def flows() -> Flows:
    return Flows()


def limit(flows: Flows, key: str, at_ms: int = 0, **limits: object) -> None:
    flows.put(key, Flow(key=key, limits=FlowLimits(**limits), set_at=at(at_ms)))


def headers_of(request):
    return {name.lower(): value for name, value in request[0].items()}


async def test_an_account_signs_with_its_own_secrets_both_while_one_replaces_the_other(
    make_webhook, flows, receiver, due, clock, secret
):
    clock.now = int(time.time() * 1_000)
    channel = await make_webhook(flows=flows, secrets={"ACME_OLD": OLD, "ACME_NEW": NEW}.get)
    limit(flows, "acme", webhook_secrets=("ACME_NEW", "ACME_OLD"))
    await channel.send(due(to=receiver.url, flow="acme/posts", account="acme"))
    headers = headers_of(receiver.got[0])
    for known in (OLD, NEW):
        assert Webhook(known).verify(receiver.got[0][1].decode(), headers) == {"text": "hi"}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(receiver.got[0][1].decode(), headers)
    limit(flows, "acme", webhook_secrets=("ACME_NEW",))
    await channel.send(due(to=receiver.url, account="acme"))
    headers = headers_of(receiver.got[1])
    assert len(headers["webhook-signature"].split()) == 1
    Webhook(NEW).verify(receiver.got[1][1].decode(), headers)
    await channel.send(due(to=receiver.url, account="other"))
    Webhook(secret).verify(receiver.got[2][1].decode(), headers_of(receiver.got[2]))


async def test_a_replay_carries_the_same_id_and_another_flows_limits_change_nothing(make_webhook, flows, receiver, due):
    limit(flows, "other", timeout=timedelta(seconds=1))
    channel = await make_webhook(flows=flows)
    for attempt in (1, 2):
        await channel.send(due(to=receiver.url, attempt=attempt))
    assert len({headers_of(got)["webhook-id"] for got in receiver.got}) == 1


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "this courier has no secret 'ACME': set CLEPSYDRA_SECRET_ACME for it, or put a file ACME into "),
        ("not-a-secret", "the secret 'ACME' cannot be used: the webhook secret is not `whsec_`"),
    ],
)
async def test_a_signing_secret_that_is_not_there_is_waited_for(make_webhook, flows, receiver, due, value, said):
    channel = await make_webhook(flows=flows, secrets=lambda _: value)
    limit(flows, "acme", webhook_secrets=("ACME",))
    outcome = await channel.send(due(to=receiver.url, flow="acme"))
    assert isinstance(outcome, RetryLater)
    assert outcome.reason.startswith(said)
    assert "not-a-secret" not in outcome.reason
    assert receiver.got == []


async def test_a_signing_secret_is_told_to_nobody(make_webhook, receiver, due):
    channel = await make_webhook(secrets={"ACME": OLD}.get)
    outcome = await channel.send(due(to=receiver.url, headers={"X-Mine": "secret:ACME"}))
    assert outcome == Rejected(reason="the secret 'ACME' signs webhooks: it is told to nobody")
    assert receiver.got == []


async def test_a_flow_has_a_time_limit_of_its_own(make_webhook, flows, raw_server, due):
    async def talk(reader, _writer):
        await reader.read()

    channel = await make_webhook(flows=flows)
    limit(flows, "acme", timeout=timedelta(seconds=1))
    async with raw_server(talk) as port:
        began = time.monotonic()
        outcome = await channel.send(due(to=f"http://127.0.0.1:{port}/", flow="acme"))
    assert outcome == RetryLater(reason="no answer within the time limit", maybe_sent=True, unanswered=True)
    assert 0.9 < time.monotonic() - began < 3


async def test_410_stops_the_url_without_its_query_for_a_day_or_until_its_flow_is_set_again(
    make_webhook, flows, receiver, due, clock
):
    async def gone(_request):
        return web.Response(status=410)

    def known(stopped: StoppedEndpoint) -> None:
        flows.put_endpoint(stopped.key, stopped)

    flows.report_gone = known
    channel = await make_webhook(flows=flows)
    receiver.answer = gone
    first = await channel.send(due(to=f"{receiver.url}?user=1", flow="acme"))
    assert first == Rejected(reason="410 Gone", response=first.response)
    assert flows.stopped[receiver.url] == StoppedEndpoint(
        key=receiver.url, url=receiver.url, flow="acme", at=at(clock.now), until=at(clock.now) + DAY
    )
    second = await channel.send(due(to=f"{receiver.url}?user=2", flow="acme"))
    assert isinstance(second, Rejected)
    assert second.reason == (
        f"{receiver.url} said 410 Gone at 2026-11-23 08:00:00 UTC: nothing is sent there for 24 h, "
        "or until the limits of acme are set again"
    )
    receiver.answer = None
    assert isinstance(await channel.send(due(to=receiver.url + "/other", flow="acme")), Delivered)
    limit(flows, "acme", clock.now + 1, rate=5)
    assert isinstance(await channel.send(due(to=receiver.url, flow="acme")), Delivered)
    assert len(receiver.got) == 3


async def test_after_a_day_a_url_that_was_gone_is_asked_again(make_webhook, flows, receiver, due, clock):
    stopped = StoppedEndpoint(key=receiver.url, url=receiver.url, at=at(clock.now) - DAY, until=at(clock.now))
    flows.put_endpoint(stopped.key, stopped)
    channel = await make_webhook(flows=flows)
    assert isinstance(await channel.send(due(to=receiver.url)), Delivered)


def test_a_secret_is_of_the_environment_or_a_file_that_may_be_replaced(tmp_path, monkeypatch):
    secrets = Secrets(tmp_path)
    (tmp_path / "ACME").write_text("first\n")
    assert secrets("ACME") == "first"
    (tmp_path / "new").write_text("second")
    (tmp_path / "new").replace(tmp_path / "ACME")
    assert secrets("ACME") == "second"
    monkeypatch.setenv("CLEPSYDRA_SECRET_ACME", "third")
    assert secrets("ACME") == "third"


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "", "a.b", "missing"])
def test_no_name_leads_out_of_the_directory(tmp_path, name):
    (tmp_path / "outside").write_text("x")
    inner = tmp_path / "inner"
    inner.mkdir()
    assert Secrets(inner)(name) is None


async def test_a_request_in_turn_connects_first_and_leaves_with_its_turn(webhook, raw_server, due):
    seen: list[str] = []
    connected = asyncio.Event()

    async def talk(reader, writer):
        connected.set()
        seen.append((await reader.readuntil(b"\r\n")).decode())
        writer.write(b"HTTP/1.1 204 -\r\n\r\n")
        await reader.read()

    async def turn():
        await connected.wait()
        await asyncio.sleep(0.05)  # a request that did not wait is there by now
        seen.append("turn")

    async with raw_server(talk) as port:
        outcome = await webhook.send_in_turn(due(to=f"http://127.0.0.1:{port}/hook"), turn)
        assert seen == ["turn", "POST /hook HTTP/1.1\r\n"]
    assert isinstance(outcome, Delivered)


async def test_whose_turn_does_not_come_is_not_sent_and_leaves_its_connection_to_the_next(webhook, receiver, due):
    held = Deferred(until=at(0), reason="waiting for its slot")

    async def turn():
        return held

    assert await webhook.send_in_turn(due(to=receiver.url), turn) is held
    assert receiver.got == []
    assert isinstance(await webhook.send(due(to=receiver.url)), Delivered)


async def test_a_wait_for_the_turn_is_not_taken_from_the_receivers_time(make_webhook, receiver, due):
    channel = await make_webhook(webhook_timeout_ms=600)

    async def answer(_request):
        await asyncio.sleep(0.3)
        return web.Response()

    async def turn():
        await asyncio.sleep(0.5)

    receiver.answer = answer
    assert isinstance(await channel.send_in_turn(due(to=receiver.url), turn), Delivered)


async def test_the_word_of_a_flow_goes_before_that_of_its_channel(make_webhook, flows, receiver, due, clock):
    clock.now = int(time.time() * 1_000)
    channel = await make_webhook(flows=flows, secrets={"ALL": OLD, "ACME": NEW}.get)
    limit(flows, "channel:webhook", webhook_secrets=("ALL",))
    limit(flows, "acme", webhook_secrets=("ACME",))
    await channel.send(due(to=receiver.url, flow="acme"))
    [got] = receiver.got
    assert Webhook(NEW).verify(got[1].decode(), headers_of(got)) == {"text": "hi"}
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(got[1].decode(), headers_of(got))
