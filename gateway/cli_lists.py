"""`clepsydra list` and `clepsydra dead list`: pages out of the archive."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from rich.markup import escape

from gateway.cli_messages import URL, ApiKey, Url
from gateway.client import ApiClient
from gateway.output import AsJson, console, print_json
from gateway.output_fit import Columns, print_rows
from gateway.told import local
from gateway.when import distance, moment
from topology.clock import SystemClock

LIMIT = 50
MESSAGES = Columns(
    ("id", "state", "due (UTC)", "", "channel", "to", "account", "tags"),
    may_go=("tags", "", "channel", "account", "to"),
    cut=("to", "tags"),
)
LETTERS = Columns(
    ("id", "target", "state", "since (UTC)", "channel", "to", "attempts", "reason"),
    may_go=("channel", "attempts", "since (UTC)", "to", "target"),
    cut=("reason", "to"),
)
ALL_PAGE = 1_000

State = Annotated[str | None, typer.Option(help="Only these states, with commas.")]
Account = Annotated[str | None, typer.Option(help="Only of this account.")]
Channel = Annotated[str | None, typer.Option(help="Only with this channel.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000, help="At most so many.")]
All = Annotated[bool, typer.Option("--all", help="All pages; with --json one line each.")]
Cursor = Annotated[str | None, typer.Option(help="Go on where a list before ended.")]


def list_(
    state: State = None,
    account: Account = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    channel: Channel = None,
    due_from: Annotated[str | None, typer.Option(metavar="TIME", help="Due at or after, RFC 3339.")] = None,
    due_to: Annotated[str | None, typer.Option(metavar="TIME", help="Due before, RFC 3339.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Only ids that begin so.")] = None,
    latest: Annotated[bool, typer.Option("--latest", help="The latest due first.")] = False,
    limit: Limit = LIMIT,
    every: All = False,
    cursor: Cursor = None,
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List messages in order of due time, as of a moment ago: what the archive knows.

    \b
    Examples:
      clepsydra list --state scheduled,retrying --account acme
      clepsydra list --due-from 2027-01-04T00:00:00Z --due-to 2027-01-05T00:00:00Z --all --json
    """  # noqa: D301  click wants the character
    given = {
        "state": state, "account": account, "tag": tag, "channel": channel, "q": prefix,
        "due_from": moment(due_from, "--due-from") if due_from else None, "due_to": moment(due_to, "--due-to") if due_to else None,
        "order": "desc" if latest else None,
    }  # fmt: skip
    pages = _pages(ApiClient(url, api_key), "/v1/messages", given, ALL_PAGE if every else limit, cursor)
    _show(pages, "messages", MESSAGES, _message, every, as_json)


def dead_list(
    state: Annotated[str | None, typer.Option(help="dead, or unknown; else both.")] = None,
    account: Account = None,
    channel: Channel = None,
    limit: Limit = LIMIT,
    every: All = False,
    cursor: Cursor = None,
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List what was given up or may have been sent, and waits for a person; the oldest first.

    \b
    Examples:
      clepsydra dead list
      clepsydra dead list --state unknown --all --json
    """  # noqa: D301  click wants the character
    given = {"state": state, "account": account, "channel": channel}
    pages = _pages(ApiClient(url, api_key), "/v1/dead-letters", given, ALL_PAGE if every else limit, cursor)
    _show(pages, "dead_letters", LETTERS, _letter, every, as_json)


def _pages(
    client: ApiClient, path: str, given: dict[str, str | None], limit: int, cursor: str | None
) -> Iterator[dict[str, Any]]:
    """Page after page. Raises UserError."""
    asked = {name: text for name, text in given.items() if text is not None} | {"limit": str(limit)}
    while True:
        page = client.get(path, asked | ({"cursor": cursor} if cursor else {}))
        yield page
        cursor = page.get("cursor")
        if cursor is None:
            return


def _show(
    pages: Iterator[dict[str, Any]],
    name: str,
    columns: Columns,
    cells: Callable[[dict[str, Any]], tuple[Any, ...]],
    every: bool,
    as_json: bool,
) -> None:
    for page in pages:
        found = page[name]
        if as_json and every:
            for one in found:
                print_json(one)
        elif as_json:
            print_json(page)
        else:
            _print(columns, [cells(one) for one in found], f"No {name.replace('_', ' ')}.")
        if not every:
            if not as_json:
                _say_end(page, len(found))
            return


def _print(columns: Columns, rows: list[tuple[Any, ...]], none: str) -> None:
    if rows:
        print_rows(columns, [[str(cell) for cell in cells] for cells in rows])
    else:
        console().print(none)


def _say_end(page: dict[str, Any], count: int) -> None:
    as_of = local(page["as_of"]) if page["as_of"] else "no time yet: the archive has only begun"
    more = f"; more with --cursor {page['cursor']}, or --all" if page.get("cursor") else ""
    console().print(f"[dim]{count} as of {as_of}{escape(more)}[/]")


def _message(one: dict[str, Any]) -> tuple[Any, ...]:
    targets = one.get("targets") or [{"channel": one.get("channel") or "", "to": one.get("to", "")}]
    channel, to = targets[0]["channel"], targets[0].get("to", "")
    more = f" and {len(targets) - 1} more" if len(targets) > 1 else ""
    state = one["state"] or "not known"
    return (
        one["id"],
        state,
        one["due_at"][:19].replace("T", " "),
        distance(one["due_at"], SystemClock().now_ms()),
        channel,
        to + more,
        one.get("account") or "",
        ", ".join(one.get("tags", ())),
    )


def _letter(one: dict[str, Any]) -> tuple[Any, ...]:
    since = one["held_since"][:19].replace("T", " ")
    return (
        one["id"],
        one["target"],
        one["state"],
        since,
        one["channel"],
        one.get("to", ""),
        one["attempts"],
        one.get("reason", ""),
    )
