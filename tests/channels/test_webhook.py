"""The webhook channel against real servers on loopback."""

import asyncio
import ssl
import time
from email.utils import formatdate

import pytest
import uvloop
from aiohttp import web
from msgspec import Raw, json
from standardwebhooks import Webhook

from agents.channels.settings import ChannelSettings
from agents.channels.webhook import WebhookChannel
from schemas.outcomes import Delivered, Outcome, Rejected, Response, RetryLater


def headers_of(request):
    return {name.lower(): value for name, value in request[0].items()}


async def test_a_message_arrives_with_its_body_key_and_signature(webhook, receiver, due, clock, secret):
    clock.now = int(time.time() * 1_000)  # the library refuses old ones
    outcome = await webhook.send(due(to=receiver.url, key="post 7/0"))
    [got] = receiver.got
    headers = headers_of(got)
    assert isinstance(outcome, Delivered)
    assert Webhook(secret).verify(got[1].decode(), headers) == {"text": "hi"}
    assert (headers["webhook-id"], headers["idempotency-key"]) == ("post%207/0", "post%207/0")
    assert headers["webhook-timestamp"] == str(clock.now // 1_000)
    assert headers["user-agent"].startswith("Clepsydra")
    assert not {"accept", "accept-encoding", "connection"} & headers.keys()


async def test_without_a_secret_it_is_sent_unsigned(make_webhook, receiver, due):
    channel = await make_webhook(webhook_secret=None)
    assert isinstance(await channel.send(due(to=receiver.url)), Delivered)
    assert "webhook-signature" not in headers_of(receiver.got[0])


async def test_a_secret_is_named_in_the_message_and_told_to_the_receiver_alone(make_webhook, receiver, due):
    channel = await make_webhook(secrets={"TEAM": "Bearer s3cret"}.get)
    outcome = await channel.send(due(to=receiver.url, headers={"Authorization": "secret:TEAM"}))
    assert headers_of(receiver.got[0])["authorization"] == "Bearer s3cret"
    assert isinstance(outcome, Delivered)
    assert "s3cret" not in json.encode(outcome).decode()


async def test_a_secret_that_is_not_there_is_waited_for(webhook, receiver, due):
    outcome = await webhook.send(due(to=receiver.url, headers={"Authorization": "secret:TEAM"}))
    assert isinstance(outcome, RetryLater)
    assert outcome.reason.startswith(
        "this courier has no secret 'TEAM': set CLEPSYDRA_SECRET_TEAM for it, or put a file"
    )
    assert receiver.got == []


@pytest.mark.parametrize(
    ("fields", "content_type", "body"),
    [
        ({"body": Raw(b'{"a":1}')}, "application/json", b'{"a":1}'),
        ({"body": Raw(b"[1,2]")}, "application/json", b"[1,2]"),
        (
            {"body": Raw(json.encode("gr\u00fc\u00df dich\n"))},
            "text/plain; charset=utf-8",
            "gr\u00fc\u00df dich\n".encode(),
        ),
        ({"body": Raw(b""), "body_base64": "AAH/"}, "application/octet-stream", b"\x00\x01\xff"),
        ({"body": Raw(b"")}, None, b""),
        ({"content_type": "application/xml"}, "application/xml", b'{"text":"hi"}'),
        ({"headers": {"content-type": "text/csv"}}, "text/csv", b'{"text":"hi"}'),
        ({"headers": {"Content-Type": "text/csv"}, "content_type": "text/html"}, "text/html", b'{"text":"hi"}'),
    ],
)
async def test_the_body_goes_as_it_is_with_the_type_that_fits(*, webhook, receiver, due, fields, content_type, body):
    assert isinstance(await webhook.send(due(to=receiver.url, **fields)), Delivered)
    headers = headers_of(receiver.got[0])
    assert (headers.get("content-type"), receiver.got[0][1]) == (content_type, body)


async def test_the_users_headers_are_kept_and_ours_win(webhook, receiver, due):
    users = {
        "X-Team": "posts",
        "Webhook-Id": "forged",
        "WEBHOOK-SIGNATURE": "v1,x",
        "user-agent": "me",
        "Accept": "a/b",
    }
    assert isinstance(await webhook.send(due(to=receiver.url, headers=users)), Delivered)
    headers = headers_of(receiver.got[0])
    assert (headers["x-team"], headers["accept"], headers["webhook-id"]) == ("posts", "a/b", "m1/0")
    assert headers["user-agent"] != "me"
    assert headers["webhook-signature"] != "v1,x"


@pytest.mark.parametrize(
    "name", ["Host", "Content-Length", "connection", "Transfer-Encoding", "TE", "Upgrade", "Expect"]
)
async def test_a_header_of_the_connection_is_refused(webhook, receiver, due, name):
    outcome = await webhook.send(due(to=receiver.url, headers={name: "x"}))
    assert outcome == Rejected(reason=f"the header {name} belongs to the connection: leave it out")
    assert receiver.got == []


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00b"])
async def test_a_header_cannot_smuggle_another(webhook, receiver, due, value):
    outcome = await webhook.send(due(to=receiver.url, headers={"X-A": value}))
    assert isinstance(outcome, Rejected)
    assert receiver.got == []


IN_90_S = formatdate(1_795_420_890, usegmt=True)


@pytest.mark.parametrize(
    ("status", "retry_after", "expected"),
    [
        (200, None, Delivered),
        (204, None, Delivered),
        (304, None, Rejected(reason="304 Not Modified: redirects are not followed; send to the address that it names")),
        (400, None, Rejected(reason="400 Bad Request")),
        (404, "5", Rejected(reason="404 Not Found")),
        (410, None, Rejected(reason="410 Gone")),
        (499, None, Rejected(reason="499")),
        (408, None, RetryLater(reason="408 Request Timeout")),
        (425, None, RetryLater(reason="425 Too Early")),
        (429, "17", RetryLater(reason="429 Too Many Requests", after_ms=17_000)),
        (500, None, RetryLater(reason="500 Internal Server Error")),
        (503, IN_90_S, RetryLater(reason="503 Service Unavailable", after_ms=89_877)),  # 90,000 - 123 past the second
        (503, "Mon, 23 Nov 2020 08:00:00 GMT", RetryLater(reason="503 Service Unavailable", after_ms=0)),
        (503, "Thu, 26 Nov 2026 08:00:00 GMT", RetryLater(reason="503 Service Unavailable", after_ms=86_400_000)),
        (503, "soon", RetryLater(reason="503 Service Unavailable")),
        (503, "-5", RetryLater(reason="503 Service Unavailable")),
        (503, "9" * 40, RetryLater(reason="503 Service Unavailable", after_ms=86_400_000)),  # 24 h at most
        (599, None, RetryLater(reason="599")),
    ],
)
async def test_the_status_decides(*, webhook, receiver, due, status, retry_after, expected):
    async def answer(_request):
        return web.Response(status=status, headers={"Retry-After": retry_after} if retry_after else {})

    receiver.answer = answer
    outcome = await webhook.send(due(to=receiver.url))
    if expected is Delivered:
        assert isinstance(outcome, Delivered)
        assert outcome.response.status == status
    else:
        assert bare(outcome) == expected
        assert outcome.response.status == status


def bare(outcome: Outcome) -> Outcome:
    """The outcome without the receiver's response."""
    return type(outcome)(**{f: getattr(outcome, f) for f in outcome.__struct_fields__ if f != "response"})


async def test_redirects_are_not_followed(webhook, receiver, due):
    async def answer(_request):
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    receiver.answer = answer
    assert isinstance(await webhook.send(due(to=receiver.url)), Rejected)
    assert len(receiver.got) == 1


async def test_what_the_receiver_said_is_kept_in_part(webhook, receiver, due):
    async def answer(_request):
        return web.Response(
            status=500,
            body=b"\xff\x00no" + b"x" * 2_000,
            headers={"Content-Type": "text/x", "Date": "today", "X-Id": "1"},
        )

    receiver.answer = answer
    outcome = await webhook.send(due(to=receiver.url))
    kept = Response(
        status=500, headers={"content-type": "text/x", "date": "today"}, body="\ufffd\ufffdno" + "x" * 1_020
    )
    assert outcome.response == kept
    json.encode(outcome)


async def test_a_huge_answer_is_not_read_to_its_end_and_frees_its_connection(make_webhook, receiver, due):
    async def answer(request):
        stream = web.StreamResponse()
        await stream.prepare(request)
        try:
            while True:
                await stream.write(b"z" * 65_536)
        except ConnectionError:
            return stream

    receiver.answer = answer
    channel = await make_webhook(webhook_concurrency=1)
    for _ in range(3):
        outcome = await channel.send(due(to=receiver.url))
        assert (type(outcome), outcome.response.body) == (Delivered, "z" * 1_024)


async def test_connections_are_kept_for_the_next_message(webhook, receiver, due):
    ports = set()

    async def answer(request):
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(text="ok")

    receiver.answer = answer
    for _ in range(5):
        assert isinstance(await webhook.send(due(to=receiver.url)), Delivered)
    assert len(ports) == 1


async def test_a_refused_connection_was_surely_not_sent(webhook, due, unused_tcp_port):
    outcome = await webhook.send(due(to=f"http://127.0.0.1:{unused_tcp_port}/"))
    assert isinstance(outcome, RetryLater)
    assert (outcome.maybe_sent, outcome.response) == (False, None)
    assert outcome.reason == f"no connection to 127.0.0.1:{unused_tcp_port}: connection refused"
    assert outcome.unanswered, "a breaker counts it"


async def test_an_unknown_host_was_surely_not_sent(webhook, due):
    outcome = await webhook.send(due(to="http://no-such-host.invalid/"))
    assert outcome == RetryLater(reason="the host no-such-host.invalid was not found", unanswered=True)


async def test_a_host_name_at_a_private_address_is_rejected_at_connect(make_webhook, receiver, due):
    channel = await make_webhook(webhook_allow_private=False)
    outcome = await channel.send(due(to=receiver.url.replace("127.0.0.1", "localhost")))
    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith("localhost is at ")
    assert receiver.got == []


async def test_a_failed_tls_handshake_was_surely_not_sent(webhook, receiver, due):
    outcome = await webhook.send(due(to=receiver.url.replace("http:", "https:")))
    assert isinstance(outcome, RetryLater)
    assert not outcome.maybe_sent


async def test_a_tls_handshake_that_is_cut_off_was_surely_not_sent(webhook, raw_server, due):
    async def talk(reader, writer):
        await reader.read(10)
        writer.transport.abort()

    async with raw_server(talk) as port:
        outcome = await webhook.send(due(to=f"https://127.0.0.1:{port}/"))
    assert isinstance(outcome, RetryLater)
    assert not outcome.maybe_sent


async def test_a_tls_handshake_that_hangs_was_surely_not_sent(make_webhook, raw_server, due):
    async def talk(reader, _writer):
        await reader.read()

    channel = await make_webhook(webhook_timeout_ms=300)
    async with raw_server(talk) as port:
        outcome = await channel.send(due(to=f"https://127.0.0.1:{port}/"))
    assert outcome == RetryLater(reason="no connection within the time limit", unanswered=True)


async def test_a_request_without_an_answer_was_perhaps_sent(make_webhook, raw_server, due):
    async def talk(reader, _writer):
        await reader.read()

    channel = await make_webhook(webhook_timeout_ms=300)
    async with raw_server(talk) as port:
        outcome = await channel.send(due(to=f"http://127.0.0.1:{port}/"))
    assert outcome == RetryLater(reason="no answer within the time limit", maybe_sent=True, unanswered=True)


async def test_a_connection_closed_before_the_answer_was_perhaps_sent_once(webhook, raw_server, due):
    requests = 0

    async def talk(reader, writer):
        nonlocal requests
        await reader.readuntil(b'{"text":"hi"}')
        requests += 1
        writer.close()

    async with raw_server(talk) as port:
        outcome = await webhook.send(due(to=f"http://127.0.0.1:{port}/"))
    assert outcome == RetryLater(reason="the connection was closed without an answer", maybe_sent=True, unanswered=True)
    assert requests == 1


@pytest.mark.parametrize("abort", [True, False])
async def test_a_kept_connection_that_dies_under_a_request_is_not_tried_again_silently(webhook, raw_server, due, abort):
    requests = 0

    async def talk(reader, writer):
        nonlocal requests
        await reader.readuntil(b'{"text":"hi"}')
        requests += 1
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await reader.readuntil(b'{"text":"hi"}')
        requests += 1
        if abort:
            writer.transport.abort()
        writer.close()

    async with raw_server(talk) as port:
        first, second = [await webhook.send(due(to=f"http://127.0.0.1:{port}/")) for _ in range(2)]
    assert isinstance(first, Delivered)
    assert isinstance(second, RetryLater)
    assert second.maybe_sent
    assert requests == 2


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9.9\r\n", b"HTTP/1.1 two hundred\r\n\r\n", b"HTTP/1.1 200 OK\r\nbad\x00: 1\r\n\r\n"]
)
async def test_an_answer_that_is_not_http_was_perhaps_sent(webhook, raw_server, due, said):
    async def talk(reader, writer):
        await reader.readuntil(b'{"text":"hi"}')
        writer.write(said)
        await reader.read()

    async with raw_server(talk) as port:
        outcome = await webhook.send(due(to=f"http://127.0.0.1:{port}/"))
    assert isinstance(outcome, RetryLater)
    assert outcome.maybe_sent
    json.encode(outcome)


async def test_a_status_whose_body_breaks_off_still_counts(webhook, raw_server, due):
    async def talk(reader, writer):
        await reader.readuntil(b'{"text":"hi"}')
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 99\r\n\r\nhalf")
        writer.close()

    async with raw_server(talk) as port:
        outcome = await webhook.send(due(to=f"http://127.0.0.1:{port}/"))
    assert outcome == Delivered(response=Response(status=202, body="half"))


async def test_a_certificate_of_someone_else_was_surely_not_sent(webhook, due, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        outcome = await webhook.send(due(to=f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    assert isinstance(outcome, RetryLater)
    assert not outcome.maybe_sent
    assert "CERTIFICATE_VERIFY_FAILED" in outcome.reason or "certificate verify failed" in outcome.reason


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_message_goes_over_tls_on_a_kept_connection(clock, due, certificate, run):
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    connections = []

    async def talk(reader, writer):
        connections.append(writer)
        while await reader.readuntil(b'{"text":"hi"}'):
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def send_twice():
        channel = WebhookChannel(ChannelSettings(webhook_allow_private=True), clock)
        await channel.start()
        channel._pool._ssl = trusting
        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=served)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        outcomes = [await channel.send(due(to=url)) for _ in range(2)]
        await channel.stop()
        server.close()
        return outcomes

    assert run(send_twice()) == [Delivered(response=Response(status=204))] * 2
    assert len(connections) == 1


async def test_many_messages_at_once_all_arrive_once(make_webhook, receiver, due):
    channel = await make_webhook(webhook_concurrency=32)
    outcomes = await asyncio.gather(*(channel.send(due(to=receiver.url, key=f"m{n}/0")) for n in range(300)))
    assert {type(o) for o in outcomes} == {Delivered}
    assert sorted(headers_of(g)["webhook-id"] for g in receiver.got) == sorted(f"m{n}/0" for n in range(300))


async def test_before_its_start_and_after_its_stop_it_says_so(make_webhook, receiver, due):
    channel = await make_webhook()
    await channel.stop()
    assert await channel.send(due(to=receiver.url)) == RetryLater(reason="the webhook channel is not started")


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ANSWERS = {
    "with a length": OK,
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
    "until the end": b"HTTP/1.1 200 OK\r\n\r\nok",
    "in HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nok",
    "after interim ones": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nDate: x\r\n\r\n" + OK,
    "and closes": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_may_have_any_form(webhook, raw_server, due, said, slowly):
    async def talk(reader, writer):
        while True:
            await reader.readuntil(b'{"text":"hi"}')
            for piece in [said[n : n + 1] for n in range(len(said))] if slowly else [said]:
                writer.write(piece)
                await asyncio.sleep(0)
            if b"close" in said or not (b"Length" in said or b"chunked" in said):
                return writer.close()

    async with raw_server(talk) as port:
        outcomes = [await webhook.send(due(to=f"http://127.0.0.1:{port}/")) for _ in range(3)]
    assert outcomes == [Delivered(response=Response(status=200, body="ok"))] * 3


async def test_a_connection_that_says_more_than_was_asked_is_not_used_again(webhook, raw_server, due):
    connections = 0

    async def talk(reader, writer):
        nonlocal connections
        connections += 1
        await reader.readuntil(b'{"text":"hi"}')
        writer.write(OK + b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async with raw_server(talk) as port:
        outcomes = [await webhook.send(due(to=f"http://127.0.0.1:{port}/")) for _ in range(3)]
    assert outcomes == [Delivered(response=Response(status=200, body="ok"))] * 3
    assert connections == 3


async def test_an_upgrade_that_nobody_asked_for_is_a_refusal(webhook, raw_server, due):
    async def talk(reader, writer):
        await reader.readuntil(b'{"text":"hi"}')
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nxxxx")
        await reader.read()

    async with raw_server(talk) as port:
        outcome = await webhook.send(due(to=f"http://127.0.0.1:{port}/"))
    assert bare(outcome) == Rejected(reason="101 Switching Protocols")


@pytest.mark.parametrize(
    "endless", [b"X-Long: " + b"a" * 9_000 + b"\r\n", b"X: " + b"a" * 70_000, b"X-Other: 1\r\n" * 900]
)
async def test_headers_without_end_are_not_read_for_ever(webhook, raw_server, due, endless):
    async def talk(reader, writer):
        await reader.readuntil(b'{"text":"hi"}')
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(endless)
            await writer.drain()

    async with raw_server(talk) as port:
        outcome = await webhook.send(due(to=f"http://127.0.0.1:{port}/"))
    assert outcome == RetryLater(reason="the answer is too large before its status", maybe_sent=True, unanswered=True)


async def test_a_body_that_drips_is_given_up_and_its_status_counts(make_webhook, raw_server, due):
    async def talk(reader, writer):
        await reader.readuntil(b'{"text":"hi"}')
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\nhalf")
        await reader.read()

    channel = await make_webhook(webhook_timeout_ms=300)
    async with raw_server(talk) as port:
        outcome = await channel.send(due(to=f"http://127.0.0.1:{port}/"))
    assert outcome == Delivered(response=Response(status=201, body="half"))


async def test_a_request_under_way_at_the_stop_was_perhaps_sent(webhook, raw_server, due):
    arrived = asyncio.Event()

    async def talk(reader, _writer):
        await reader.readuntil(b'{"text":"hi"}')
        arrived.set()
        await reader.read()

    async with raw_server(talk) as port:
        sending = asyncio.create_task(webhook.send(due(to=f"http://127.0.0.1:{port}/")))
        await arrived.wait()
        await webhook.stop()
        assert await sending == RetryLater(
            reason="the connection was closed by this side", maybe_sent=True, unanswered=True
        )


async def test_a_large_body_arrives_whole(webhook, receiver, due):
    text = "x" * 262_144
    assert isinstance(await webhook.send(due(to=receiver.url, body=Raw(json.encode(text)))), Delivered)
    assert receiver.got[0][1] == text.encode()


async def test_the_query_goes_along_and_the_fragment_stays(webhook, receiver, due):
    paths = []

    async def answer(request):
        paths.append((request.raw_path, request.headers["Host"]))
        return web.Response()

    receiver.answer = answer
    await webhook.send(due(to=receiver.url + "/a%2Fb?c=d%20e&f=%C3%BC#top"))
    assert paths == [("/hook/a%2Fb?c=d%20e&f=%C3%BC", f"127.0.0.1:{receiver.server.port}")]


def test_it_works_in_the_loop_that_workers_run(clock, due):
    async def talk(reader, writer):
        while await reader.readuntil(b'{"text":"hi"}'):
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def run():
        channel = WebhookChannel(ChannelSettings(webhook_allow_private=True), clock)
        await channel.start()
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        outcomes = [await channel.send(due(to=url)) for _ in range(3)]
        await channel.stop()
        server.close()
        return outcomes

    assert uvloop.run(run()) == [Delivered(response=Response(status=204))] * 3
