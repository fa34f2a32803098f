"""`clepsydra flows set | list | pause | resume | remove`: clients of the HTTP API."""

from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer
from rich.markup import escape

from gateway.cli_messages import URL, ApiKey, Url
from gateway.client import ApiClient
from gateway.errors import UserError
from gateway.output import AsJson, console, print_json, table
from gateway.when import span

flows = typer.Typer(no_args_is_help=True, help="Limits and pauses of flows, and of whole channels.")

Key = Annotated[
    str, typer.Argument(metavar="KEY", help="The flow, or channel:NAME for a whole channel.", show_default=False)
]
Note = Annotated[str | None, typer.Option(help="Why, for people.")]
SHOWN = ("key", "set_at", "held_back")


@flows.command("set")
def set_(
    key: Key,
    rate: Annotated[int | None, typer.Option(min=0, help="Sends in each --per; 0: no limit.")] = None,
    per: Annotated[str | None, typer.Option(metavar="LENGTH", help="As 1s, 1m, 1h; 1s where nothing is set.")] = None,
    burst: Annotated[int | None, typer.Option(min=1, help="Sends at once after a rest.")] = None,
    parallelism: Annotated[int | None, typer.Option(min=0, help="Sends under way at once; 0: no limit.")] = None,
    note: Note = None,
    honours_key: Annotated[
        bool | None, typer.Option("--honours-key/--no-honours-key", help="Whether its receivers drop repeats.")
    ] = None,
    timeout: Annotated[str | None, typer.Option(metavar="LENGTH", help="Of one attempt, 1s to 60s.")] = None,
    webhook_secret: Annotated[
        list[str] | None, typer.Option(help="Name of a secret that signs its webhooks; may be repeated.")
    ] = None,
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Set the limits of a flow; what is not given stays as it is set.

    \b
    Examples:
      clepsydra flows set acme --rate 10 --per 1s --note 'the network allows 600 a minute'
      clepsydra flows set acme --parallelism 2 --burst 5
      clepsydra flows set channel:email --rate 100 --per 1m
      clepsydra flows set acme --webhook-secret ACME_NEW --webhook-secret ACME_OLD
    """  # noqa: D301  click wants the character
    given = {
        "rate": rate, "per": _length(per), "burst": burst, "parallelism": parallelism, "note": note,
        "honours_key": honours_key, "timeout": _length(timeout), "webhook_secrets": webhook_secret,
    }  # fmt: skip
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise UserError("nothing to set: give at least one of --rate, --parallelism, --note, --timeout, ...")
    if changes.get("rate") == 0:
        changes |= {"rate": None, "per": "PT1S", "burst": 1}
    if changes.get("parallelism") == 0:
        changes["parallelism"] = None
    _changed(ApiClient(url, api_key), key, changes, "set", as_json=as_json)


@flows.command("list")
def list_(url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List the flows that have limits.

    \b
    Examples:
      clepsydra flows list
      clepsydra flows list --json | jq '.[] | select(.paused)'
    """  # noqa: D301  click wants the character
    found = ApiClient(url, api_key).call("GET", "/v1/flows")["flows"]
    if as_json:
        print_json(found)
        return
    if not found:
        console().print("No limits and no pauses: everything goes out as it falls due.")
        return
    rows = table("flow", "rate", "burst", "parallel", "paused", "held back", "note")
    for flow in found:
        rate = f"{flow['rate']} in {_short(flow['per'])}" if flow["rate"] else ""
        burst = flow["burst"] if flow["rate"] else ""
        held = str(flow["held_back"] or "")
        paused = "[yellow]paused[/]" if flow["paused"] else ""
        cells = (rate, str(burst), str(flow["parallelism"] or ""), paused, held, escape(flow["note"]))
        rows.add_row(escape(flow["key"]), *cells)
    console().print(rows)


@flows.command()
def pause(key: Key, note: Note = None, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Send nothing of a flow until it is resumed. Its messages wait and can be edited and cancelled.

    \b
    Examples:
      clepsydra flows pause acme --note 'the token has run out'
      clepsydra flows pause channel:webhook
    """  # noqa: D301  click wants the character
    changes = {"paused": True} | ({} if note is None else {"note": note})
    _changed(ApiClient(url, api_key), key, changes, "paused", as_json=as_json)


@flows.command()
def resume(key: Key, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Let a paused flow go on, at its rate.

    \b
    Examples:
      clepsydra flows resume acme
    """  # noqa: D301  click wants the character
    _changed(ApiClient(url, api_key), key, {"paused": False}, "resumed", as_json=as_json)


@flows.command()
def remove(key: Key, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Remove the limits of a flow: its messages go when they are due.

    \b
    Examples:
      clepsydra flows remove acme
    """  # noqa: D301  click wants the character
    done = ApiClient(url, api_key).call("DELETE", _path(key))
    if as_json:
        print_json(done)
        return
    console().print(f"[green]removed[/] {escape(key)}")


def _changed(client: ApiClient, key: str, changes: dict[str, Any], said: str, *, as_json: bool) -> None:
    known = {flow["key"]: flow for flow in client.call("GET", "/v1/flows")["flows"]}.get(key, {})
    wanted = {name: value for name, value in known.items() if name not in SHOWN} | changes
    done = client.call("PUT", _path(key), wanted)
    if as_json:
        print_json(done)
        return
    console().print(f"[green]{said}[/] {escape(key)}: {_told(done)}")


def _told(flow: dict[str, Any]) -> str:
    parts = []
    if flow["paused"]:
        parts.append("nothing is sent until it is resumed")
    if flow["rate"]:
        parts.append(f"{flow['rate']} in {_short(flow['per'])}, {flow['burst']} at once")
    if flow["parallelism"]:
        parts.append(f"{flow['parallelism']} under way")
    return escape("; ".join(parts)) or "no limit"


def _path(key: str) -> str:
    return f"/v1/flows/{quote(key, safe='')}"


def _length(text: str | None) -> str | None:
    """As ISO 8601."""
    return None if text is None else msgspec.json.decode(msgspec.json.encode(span(text)), type=str)


def _short(length: str) -> str:
    """`1 s`, `5 min`, of an ISO 8601 duration."""
    seconds = msgspec.convert(length, timedelta).total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
