"""A due message as an email (RFC 5322, MIME)."""

import re
from datetime import datetime
from email.errors import HeaderParseError, MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import blake2b
from urllib.parse import quote

from msgspec import Struct

from schemas.due import DueMessage
from schemas.message import SECRET_MARK, body_bytes

OURS = frozenset({
    "bcc", "cc", "date", "dkim-signature", "from", "message-id", "mime-version", "received", "resent-to", "return-path",
    "sender", "to",
})  # fmt: skip
"""Who gets it and who it is from is not a header's to say: each address is a target, with a state of its own."""
ATEXT = "!#$&'*+-/=?^_`{|}~"
ID_MAX = 200
TYPE = re.compile(r"([A-Za-z0-9!#$&^_.+-]+)/([A-Za-z0-9!#$&^_.+-]+)")
ADDRESS_MAX = 254  # RFC 3696, erratum 1690


class EnvelopeError(ValueError):
    """No email can be made of this message; the text says why."""


class Envelope(Struct, frozen=True):
    """What goes over SMTP."""

    sender: str
    to: str
    content: bytes


def envelope(message: DueMessage, sender: str, now: datetime) -> Envelope:
    """The email of a due message. Raises EnvelopeError."""
    to, from_ = _address(message.to, "`to`"), _address(sender, "CLEPSYDRA_EMAIL_FROM")
    made = EmailMessage(policy=SMTP)
    try:
        made["From"] = from_
        made["To"] = to
        made["Date"] = format_datetime(now)
        made["Message-ID"] = message_id(message.key, from_.domain)
        for name, value in message.headers.items():
            _add(made, name, value)
        _fill(made, message)
        content = made.as_bytes()
    except (ValueError, MessageError, HeaderParseError, LookupError, TypeError, UnicodeError) as fault:
        raise EnvelopeError(f"no email can be made of it: {fault}") from fault
    return Envelope(from_.addr_spec, to.addr_spec, content)


def message_id(key: str, domain: str) -> str:
    """`<post-1/0@example.com>`: the delivery key, the same at each attempt, so that a person finds repeats by it."""
    quoted = quote(key, safe=ATEXT, errors="surrogatepass").strip(".")
    if len(quoted) > ID_MAX:
        quoted = blake2b(quoted.encode(), digest_size=20).hexdigest()
    return f"<{quoted}@{domain}>"


def _address(text: str, name: str) -> Address:
    """One address, with or without a display name. Raises EnvelopeError."""
    display, _, rest = text.rpartition("<") if text.endswith(">") else ("", "", text)
    spec = rest.removesuffix(">").strip()
    local, sep, domain = spec.rpartition("@")
    try:
        if not (sep and local and domain) or len(spec) > ADDRESS_MAX or not spec.isprintable() or " " in spec:
            raise ValueError("is not like ann@example.com")  # noqa: TRY301  told as any other fault
        ascii_domain = domain if domain.isascii() else domain.encode("idna").decode()
        local.encode("ascii")
        return Address(display.strip().strip('"'), addr_spec=f"{local}@{ascii_domain}")
    except UnicodeEncodeError as fault:
        raise EnvelopeError(f"{name} has letters before the @ that mail servers do not take: {spec[:100]!r}") from fault
    except (ValueError, HeaderParseError, UnicodeError, IndexError) as fault:
        raise EnvelopeError(f"{name} is no email address: {text[:100]!r} ({fault})") from fault


def _add(made: EmailMessage, name: str, value: str) -> None:
    lower = name.lower()
    if lower in OURS or lower.startswith("content-"):
        raise ValueError(f"the header {name} is not yours to set: leave it out")
    if value.startswith(SECRET_MARK):
        raise ValueError(f"the header {name} names a secret, which an email would show to all: leave it out")
    made[name] = value


def _fill(made: EmailMessage, message: DueMessage) -> None:
    body = body_bytes(message.body, message.body_base64)
    given = message.content_type
    main, sub = ("text", "plain") if given is None else _type(given)
    if main == "text":
        made.set_content(body.decode(), subtype=sub, charset="utf-8")
    else:
        made.set_content(body, maintype=main, subtype=sub)


def _type(text: str) -> tuple[str, str]:
    found = TYPE.match(text)
    if found is None:
        raise ValueError(f"`content_type` {text[:100]!r} is none: write text/plain or text/html")
    if found[1] in ("multipart", "message"):
        return "application", "octet-stream"
    return found[1].lower(), found[2].lower()
