"""`clepsydra send | show | edit | cancel`: clients of the HTTP API."""

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape

from gateway.client import ApiClient
from gateway.errors import UserError
from gateway.output import AsJson, console, print_json
from gateway.told import local, moments, story
from gateway.when import after, distance, moment
from topology.clock import SystemClock

Url = Annotated[str, typer.Option(envvar="CLEPSYDRA_URL", help="The gateway.")]
ApiKey = Annotated[str | None, typer.Option(envvar="CLEPSYDRA_API_KEY", show_envvar=True, help="The API key.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The message's id.", show_default=False)]
At = Annotated[str | None, typer.Option("--at", metavar="TIME", help="When: RFC 3339, as 2026-11-24T08:00:00+01:00.")]
In = Annotated[str | None, typer.Option("--in", metavar="LENGTH", help="When: from now, as 30s, 5m, 1h30m, 2d.")]
Body = Annotated[
    str | None, typer.Option("--body", "-b", help="The text to send; @FILE reads a file, - standard input.")
]
ContentType = Annotated[str | None, typer.Option(help="Of the body. JSON objects and arrays get application/json.")]
Header = Annotated[list[str] | None, typer.Option("--header", "-H", metavar="NAME:VALUE", help="May be repeated.")]
Tag = Annotated[list[str] | None, typer.Option("--tag", help="May be repeated.")]
Priority = Annotated[int | None, typer.Option(min=0, max=9, help="Among overdue messages 9 goes first.")]
Expires = Annotated[str | None, typer.Option("--expires-at", metavar="TIME", help="Not sent any more after this.")]
Key = Annotated[str | None, typer.Option("--key", help="An Idempotency-Key: repeats with it are done once.")]
URL = "http://127.0.0.1:8080"
BODY_SHOWN = 200


def add_message_commands(app: typer.Typer) -> None:
    """The commands of single messages."""
    for command in (send, show, edit, cancel):
        app.command(rich_help_panel="Messages")(command)


def send(
    to: Annotated[str, typer.Option("--to", help="A URL for webhook, an address for email, a topic for kafka.")] = "",
    at: At = None,
    in_: In = None,
    channel: Annotated[str, typer.Option(help="How to send it.")] = "webhook",
    body: Body = None,
    id_: Annotated[str | None, typer.Option("--id", help="Your own id; the same again changes nothing.")] = None,
    account: Annotated[str | None, typer.Option(help="Whose it is; limits apply per account.")] = None,
    flow: Annotated[str | None, typer.Option(help="What limits apply to, if not the account.")] = None,
    content_type: ContentType = None,
    header: Header = None,
    tag: Tag = None,
    priority: Priority = None,
    expires_at: Expires = None,
    key: Key = None,
    allow_past: Annotated[bool, typer.Option("--allow-past", help="Send at once what was due long ago.")] = False,
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Schedule a message. Prints its id.

    \b
    Examples:
      clepsydra send --in 30s --to http://127.0.0.1:9000/hook --body '{"text": "Good morning"}'
      clepsydra send --at 2026-11-24T08:00:00+01:00 --to https://example.com/hook --body @post.json --id post-1
      clepsydra send --in 5s --channel log --body hello
    """  # noqa: D301  click wants the character
    given = content(body, content_type) | {
        "id": id_, "due_at": _due(at, in_, "--at or --in"), "channel": channel, "to": to, "account": account,
        "flow": flow, "headers": headers(header), "tags": tag, "priority": priority,
        "expires_at": moment(expires_at, "--expires-at") if expires_at else None, "allow_past": allow_past or None,
    }  # fmt: skip
    wanted = {name: value for name, value in given.items() if value is not None}
    done = ApiClient(url, api_key).call("POST", "/v1/messages", wanted, Idempotency_Key=key)
    if as_json:
        print_json(done)
        return
    console().print(f"[green]{done['state']}[/] {escape(done['id'])}, {due_text(done['due_at'])}")


def show(id_: Id, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show all that is known of a message: its state, each delivery, what happened to it.

    \b
    Examples:
      clepsydra show post-1
      clepsydra show post-1 --json | jq .deliveries
    """  # noqa: D301  click wants the character
    found = ApiClient(url, api_key).message("GET", id_)
    if as_json:
        print_json(found)
        return
    out = console()
    out.print(
        f"[bold]{escape(found['id'])}[/]  {found['state']}, {due_text(found['due_at'])}, revision {found['revision']}"
    )
    if "body" in found:
        out.print(f"body      {escape(_shown_body(found['body']))}")
    for d, sentence in zip(found["deliveries"], story(found), strict=True):
        to = f" to {d['to']}" if d["to"] else ""
        out.print(f"target {d['target']}  {escape(d['channel'] + to)}: {d['state']}, attempts {d['attempts']}")
        out.print(f"          {escape(sentence)}")
    for when, what, why in moments(found):
        out.print(f"[dim]{when}[/]  {escape(what)}  {escape(why)}".rstrip())


def edit(
    id_: Id,
    at: At = None,
    in_: In = None,
    to: Annotated[str | None, typer.Option("--to", help="Where to send it instead.")] = None,
    body: Body = None,
    content_type: ContentType = None,
    header: Header = None,
    tag: Tag = None,
    priority: Priority = None,
    expires_at: Expires = None,
    revision: Annotated[int | None, typer.Option(help="Only if it still is this revision.")] = None,
    key: Key = None,
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Change a message that was not handed over yet. When it is accepted, the old version is never sent.

    \b
    Examples:
      clepsydra edit post-1 --in 2h
      clepsydra edit post-1 --body 'Better text' --revision 1
    """  # noqa: D301  click wants the character
    given = content(body, content_type) | {
        "due_at": _due(at, in_, "") if at or in_ else None, "to": to, "headers": headers(header), "tags": tag,
        "priority": priority, "expires_at": moment(expires_at, "--expires-at") if expires_at else None,
    }  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise UserError("nothing to change: give at least one of --at, --in, --to, --body, --priority, --tag, ...")
    match = None if revision is None else f'"{revision}"'
    done = ApiClient(url, api_key).message("PATCH", id_, changes, Idempotency_Key=key, If_Match=match)
    if as_json:
        print_json(done)
        return
    due = due_text(done["due_at"])
    console().print(f"[green]changed[/] {escape(done['id'])}, {due}, revision {done['revision']}")


def cancel(id_: Id, key: Key = None, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Cancel a message. Done, or too late: the answer is exact.

    \b
    Examples:
      clepsydra cancel post-1
    """  # noqa: D301  click wants the character
    done = ApiClient(url, api_key).message("DELETE", id_, Idempotency_Key=key)
    if as_json:
        print_json(done)
        return
    results = done["results"]
    targets = "" if len(results) == 1 else ": " + ", ".join(f"target {n} {state}" for n, state in results.items())
    console().print(f"[green]{done['state']}[/] {escape(done['id'])}{targets}")


def _shown_body(body: Any) -> str:
    """The begin of it, in one line: a text as it is, any other JSON as JSON."""
    text = " ".join(body.split()) if isinstance(body, str) else msgspec.json.encode(body).decode()
    return text if len(text) <= BODY_SHOWN else f"{text[:BODY_SHOWN]}..."


def _due(at: str | None, in_: str | None, wanted: str) -> str:
    if at and in_:
        raise UserError("--at and --in exclude each other: give one")
    if at:
        return moment(at)
    if in_:
        return after(in_, SystemClock().now_ms())
    raise UserError(f"no due time: give {wanted}, as in --in 30s")


def due_text(due_at: str) -> str:
    """`due 2026-11-24 08:00:00.000 UTC (in 2 h)`."""
    return f"due {local(due_at)} ({distance(due_at, SystemClock().now_ms())})"


def content(body: str | None, content_type: str | None) -> dict[str, Any]:
    """The body is sent as the very bytes given, as text; JSON is recognised for its content type only."""
    if body is None:
        return {"content_type": content_type}
    text = read_text(body)
    if content_type is None and text.lstrip()[:1] in ("{", "["):
        try:
            msgspec.json.decode(text)
            content_type = "application/json"
        except msgspec.DecodeError:
            pass
    return {"body": text, "content_type": content_type}


def read_text(body: str) -> str:
    try:
        if body == "-":
            return sys.stdin.read()
        if body.startswith("@"):
            return Path(body[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise UserError(f"--body {body}: cannot be read: {fault}") from None
    return body


def headers(given: list[str] | None) -> dict[str, str] | None:
    if not given:
        return None
    pairs = [header.partition(":") for header in given]
    wrong = next((header for header, (_, sep, _) in zip(given, pairs, strict=True) if not sep), None)
    if wrong is not None:
        raise UserError(f"--header {wrong!r} is not NAME:VALUE")
    return {name.strip(): value.strip() for name, _, value in pairs}
