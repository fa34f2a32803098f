"""The email channel against a real SMTP server (aiosmtpd): STARTTLS, log-in, refusals, and what ends without an answer."""

import asyncio
import ssl
from email import message_from_bytes, policy
from typing import Any

import pytest
from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import AuthResult
from msgspec import Raw

from agents.channels.email import EmailChannel
from agents.channels.email_message import EnvelopeError, envelope, message_id
from agents.channels.settings import ChannelSettings
from schemas.outcomes import Delivered, Rejected, Response, RetryLater
from schemas.times import at

FROM = "News <news@example.com>"


class Mailbox:
    """What the server was given, and how it answers."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.users: list[str] = []
        self.answers: dict[str, str] = {}
        self.connections = 0
        self.silent = False

    async def handle_EHLO(self, _server: Any, session: Any, _envelope: Any, hostname: str, responses: list[str]):  # noqa: N802
        session.host_name = hostname
        self.connections += 1
        return responses

    async def handle_MAIL(self, _server: Any, _session: Any, env: Any, address: str, options: list[str]):  # noqa: N802
        env.mail_from, env.mail_options = address, options
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(self, _server: Any, _session: Any, env: Any, address: str, _options: list[str]):  # noqa: N802
        env.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_DATA(self, server: Any, _session: Any, env: Any):  # noqa: N802
        self.got.append(env)
        if self.silent:
            server.transport.abort()
        return self.answers.get("DATA", "250 queued as 7")

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        self.users.append(data.login.decode())
        return AuthResult(success=data.password == b"right", handled=False)


@pytest.fixture
async def mailbox():
    return Mailbox()


@pytest.fixture
async def serve(mailbox, free_port):
    running = []

    async def start(**options: Any) -> str:
        port = free_port()
        controller = UnthreadedController(
            mailbox, hostname="127.0.0.1", port=port, loop=asyncio.get_running_loop(), ident="test", **options
        )
        controller.server = await controller._create_server()
        running.append(controller.server)
        return f"127.0.0.1:{port}"

    yield start
    for server in running:
        server.close()


@pytest.fixture
async def made(clock):
    channels = []

    async def make(server: str, **settings: Any) -> EmailChannel:
        ordinary = {"email_server": server, "email_from": FROM, "email_tls": "none", "email_timeout_ms": 3_000}
        channel = EmailChannel(ChannelSettings(**(ordinary | settings)), clock)
        channels.append(channel)
        await channel.start()
        return channel

    yield make
    for channel in channels:
        await channel.stop()


def parsed(env: Any) -> Any:
    return message_from_bytes(env.content, policy=policy.default)


async def test_a_message_arrives_with_its_key_as_message_id(serve, made, mailbox, due):
    channel = await made(await serve())
    outcome = await channel.send(
        due(to="ann@example.org", key="post 7/0", body=Raw(b'"Gr\xc3\xbc\xc3\x9fe"'), headers={"Subject": "Hallo Ann"})
    )
    assert outcome == Delivered(response=Response(status=250, body="queued as 7"))
    [got] = mailbox.got
    mail = parsed(got)
    assert (got.mail_from, got.rcpt_tos) == ("news@example.com", ["ann@example.org"])
    assert (mail["From"], mail["To"], mail["Subject"]) == (FROM, "ann@example.org", "Hallo Ann")
    assert mail["Message-ID"] == "<post%207/0@example.com>"
    assert (mail.get_content_type(), mail.get_content().strip()) == ("text/plain", "Grüße")


async def test_html_and_bytes_are_sent_as_what_they_are(serve, made, mailbox, due):
    channel = await made(await serve())
    await channel.send(due(to="a@b.org", body=Raw(b'"<b>hi</b>"'), content_type="text/html; charset=utf-8"))
    await channel.send(due(to="a@b.org", body=Raw(b""), body_base64="AAEC", content_type="application/pdf"))
    assert [parsed(env).get_content_type() for env in mailbox.got] == ["text/html", "application/pdf"]
    assert parsed(mailbox.got[1]).get_content() == b"\x00\x01\x02"


async def test_a_connection_is_used_again(serve, made, mailbox, due, clock):
    channel = await made(await serve())
    for n in range(3):
        await channel.send(due(to=f"a{n}@b.org"))
    assert (len(mailbox.got), mailbox.connections) == (3, 1)
    clock.now += 60_000
    await channel.send(due(to="a@b.org"))
    assert mailbox.connections == 2


async def test_starttls_and_the_log_in_come_first(serve, made, mailbox, due, certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = await serve(
        tls_context=context, require_starttls=True, authenticator=mailbox.authenticate, auth_required=True
    )
    secure = {"email_tls": "starttls", "email_user": "ann", "email_ca": str(certificate)}
    channel = await made(server, email_password="right", **secure)
    assert isinstance(await channel.send(due(to="a@b.org")), Delivered)
    assert mailbox.users[0] == "ann"

    wrong = await made(server, email_password="wrong", **secure)
    outcome = await wrong.send(due(to="a@b.org"))
    assert isinstance(outcome, RetryLater)
    assert outcome.reason.startswith("the mail server refuses the log-in")
    assert "wrong" not in outcome.reason

    untrusted = await made(server, email_password="right", **(secure | {"email_ca": None}))
    outcome = await untrusted.send(due(to="a@b.org"))
    assert isinstance(outcome, RetryLater)
    assert (outcome.maybe_sent, outcome.unanswered) == (False, True)
    assert len(mailbox.got) == 1


async def test_without_starttls_at_the_server_nothing_is_sent_in_clear(serve, made, mailbox, due):
    channel = await made(await serve(), email_tls="starttls")
    outcome = await channel.send(due(to="a@b.org"))
    assert isinstance(outcome, RetryLater)
    assert not outcome.maybe_sent
    assert mailbox.got == []


@pytest.mark.parametrize(
    ("command", "answer", "expected"),
    [
        ("RCPT", "550 no such user", Rejected(reason="550 no such user", response=Response(status=550, body="no such user"))),
        ("RCPT", "450 busy", RetryLater(reason="450 busy", response=Response(status=450, body="busy"))),
        ("DATA", "554 spam", Rejected(reason="554 spam", response=Response(status=554, body="spam"))),
        ("DATA", "451 later", RetryLater(reason="451 later", response=Response(status=451, body="later"))),
        ("MAIL", "552 too large", Rejected(reason="552 too large", response=Response(status=552, body="too large"))),
    ],
)  # fmt: skip
async def test_5yz_is_final_and_4yz_is_tried_again(serve, made, mailbox, due, command, answer, expected):
    channel = await made(await serve())
    mailbox.answers[command] = answer
    assert await channel.send(due(to="a@b.org")) == expected
    mailbox.answers.clear()
    assert isinstance(await channel.send(due(to="a@b.org")), Delivered)


async def test_a_refused_sender_waits_for_a_person(serve, made, mailbox, due):
    channel = await made(await serve())
    mailbox.answers["MAIL"] = "553 not yours"
    outcome = await channel.send(due(to="a@b.org"))
    assert isinstance(outcome, RetryLater)
    assert outcome.reason.endswith("see CLEPSYDRA_EMAIL_FROM")


async def test_what_ends_without_an_answer_after_data_was_perhaps_sent(serve, made, mailbox, due):
    channel = await made(await serve())
    mailbox.silent = True
    outcome = await channel.send(due(to="a@b.org"))
    assert isinstance(outcome, RetryLater)
    assert outcome.maybe_sent
    assert len(mailbox.got) == 1


async def test_what_ends_before_data_was_surely_not_sent(made, raw_server, due, free_port):
    async def talk(reader, writer):
        writer.write(b"220 hello\r\n")
        await reader.readline()
        writer.close()

    async with raw_server(talk) as port:
        closed = await (await made(f"127.0.0.1:{port}")).send(due(to="a@b.org"))
    nobody = await (await made(f"127.0.0.1:{free_port()}")).send(due(to="a@b.org"))
    for outcome in (closed, nobody):
        assert isinstance(outcome, RetryLater)
        assert (outcome.maybe_sent, outcome.unanswered) == (False, True)


async def test_a_server_that_says_nothing_is_given_up_in_time(made, raw_server, due):
    async def talk(reader, _writer):
        await reader.read()

    async with raw_server(talk) as port:
        channel = await made(f"127.0.0.1:{port}", email_timeout_ms=600)
        outcome = await channel.send(due(to="a@b.org"))
    assert outcome == RetryLater(reason="the mail server does not answer within the time limit", unanswered=True)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"to": ""}, "`to` is no email address"),
        ({"to": "ann"}, "`to` is no email address"),
        ({"to": "a@b.org, c@d.org"}, "`to` is no email address"),
        ({"to": "a@b.org\r\nBcc: x@y.org"}, "`to` is no email address"),
        ({"to": "änn@example.org"}, "`to` has letters before the @"),
        ({"headers": {"Bcc": "x@y.org"}}, "the header Bcc is not yours to set"),
        ({"headers": {"Subject": "a\r\nBcc: x@y.org"}}, "no email can be made of it"),
        ({"headers": {"X-Key": "secret:TEAM"}}, "names a secret"),
        ({"body": Raw(b""), "body_base64": "/w=="}, "no email can be made of it"),
        ({"content_type": "nonsense"}, "`content_type` 'nonsense' is none"),
    ],
)
def test_what_is_no_email_is_refused_with_its_fault(due, fields, said):
    with pytest.raises(EnvelopeError, match=said.replace("(", r"\(")):
        envelope(due(**({"to": "a@b.org"} | fields)), FROM, at(0))


def test_a_name_may_stand_before_the_address_and_domains_may_have_any_letters(due):
    assert envelope(due(to='"Ann, B." <ann@bücher.example>'), FROM, at(0)).to == "ann@xn--bcher-kva.example"


def test_two_keys_never_have_one_message_id():
    assert message_id("a/0", "x.org") == "<a/0@x.org>"
    assert message_id("a@b c%/0", "x.org") == "<a%40b%20c%25/0@x.org>"
    long = {message_id("k" * 250 + end, "x.org") for end in ("a", "b")}
    assert len(long) == 2
    assert all(len(one) < 80 for one in long)
