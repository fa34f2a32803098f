"""`clepsydra keys add | list | revoke`: clients of the HTTP API, with a key of the scope admin."""

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from gateway.cli_messages import URL, ApiKey, Url
from gateway.client import ApiClient
from gateway.errors import UserError
from gateway.output import AsJson, console, print_json, table
from gateway.when import after, moment
from topology.clock import SystemClock

keys = typer.Typer(no_args_is_help=True, help="API keys: who may use the gateway, and for what.")


class ScopeName(StrEnum):
    """What a key is good for."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


Scopes = Annotated[
    list[ScopeName] | None,
    typer.Option("--scope", help="read, write, or admin (which holds both); may be repeated. [default: read, write]"),
]


@keys.command()
def add(
    name: Annotated[str, typer.Argument(help="Who uses it, and where.", show_default=False)],
    scope: Scopes = None,
    expires_at: Annotated[str | None, typer.Option(metavar="TIME", help="Good until then; RFC 3339.")] = None,
    expires_in: Annotated[str | None, typer.Option(metavar="LENGTH", help="Good for so long, as 12h, 90d.")] = None,
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it. It is shown this once: only a hash is kept.

    \b
    Examples:
      clepsydra keys add ci
      clepsydra keys add grafana --scope read --expires-in 90d
      export CLEPSYDRA_API_KEY="$(clepsydra keys add me --scope admin --json | jq -r .key)"
    """  # noqa: D301  click wants the character
    if expires_at and expires_in:
        raise UserError("--expires-at and --expires-in exclude each other: give one")
    until = (
        after(expires_in, SystemClock().now_ms()) if expires_in else expires_at and moment(expires_at, "--expires-at")
    )
    wanted = {"name": name, "scopes": [each.value for each in scope or (ScopeName.READ, ScopeName.WRITE)]}
    done = ApiClient(url, api_key).call("POST", "/v1/keys", wanted | ({"expires_at": until} if until else {}))
    if as_json:
        print_json(done)
        return
    console().print(done["key"], markup=False)
    typer.echo(f"made {done['id']} ({', '.join(done['scopes'])}); note it now, it is not shown again", err=True)


@keys.command("list")
def list_(url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List the API keys: names, scopes, when they were made, their last characters.

    \b
    Examples:
      clepsydra keys list
    """  # noqa: D301  click wants the character
    found = _keys(ApiClient(url, api_key))
    if as_json:
        print_json(found)
        return
    rows = table("id", "name", "scopes", "ends in", "made", "good until")
    for key in found:
        cells = (key["id"], key["name"], ", ".join(key["scopes"]), f"…{key['ending']}", key["created_at"][:19])
        rows.add_row(*(escape(str(cell)) for cell in cells), key.get("expires_at", "")[:19])
    console().print(rows)


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID|NAME", help="Its id, or its name.", show_default=False)],
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Revoke an API key: within a second no gateway takes it any more.

    \b
    Examples:
      clepsydra keys revoke ci
      clepsydra keys revoke 5f1c0e9ab2d4
    """  # noqa: D301  click wants the character
    client = ApiClient(url, api_key)
    named = [each["id"] for each in _keys(client) if key in (each["id"], each["name"])]
    if len(named) != 1:
        problem = f"{len(named)} keys have the name {key!r}: give an id" if named else f"there is no key {key!r}"
        raise UserError(f"{problem}; `clepsydra keys list` shows them")
    done = client.call("DELETE", f"/v1/keys/{quote(named[0], safe='')}")
    if as_json:
        print_json(done)
        return
    console().print(f"[green]revoked[/] {escape(done['name'])} ({done['id']})")


def _keys(client: ApiClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.call("GET", "/v1/keys")["keys"]
    return found
