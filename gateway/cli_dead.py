"""`clepsydra send-now | erase` and `clepsydra dead retry | discard | mark-sent`: clients of the HTTP API."""

from typing import Annotated
from urllib.parse import quote

import typer
from rich.markup import escape

from gateway.cli_lists import dead_list, list_
from gateway.cli_messages import URL, ApiKey, Id, Key, Url, due_text
from gateway.client import ApiClient
from gateway.output import AsJson, console, print_json

dead = typer.Typer(no_args_is_help=True, help="Dead letters: what was given up, or may have been sent.")

Target = Annotated[
    int | None, typer.Option(min=0, max=99, help="Only this target; else all that are dead or unknown.", metavar="N")
]


def add_action_commands(app: typer.Typer) -> None:
    """Actions on single messages, and the group of dead letters."""
    app.command("send-now", rich_help_panel="Messages")(send_now)
    app.command(rich_help_panel="Messages")(erase)
    app.command("list", rich_help_panel="Messages")(list_)
    dead.command("list")(dead_list)
    app.add_typer(dead, name="dead", rich_help_panel="Messages")


def send_now(id_: Id, key: Key = None, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Let a message be due at once, one that waits for a retry too. Done, or too late: the answer is exact.

    \b
    Examples:
      clepsydra send-now post-1
    """  # noqa: D301  click wants the character
    path = f"/v1/messages/{quote(id_, safe='')}/send-now"
    done = ApiClient(url, api_key).call("POST", path, Idempotency_Key=key)
    if as_json:
        print_json(done)
        return
    due = due_text(done["due_at"])
    console().print(f"[green]{done['state']}[/] {escape(done['id'])}, {due}, revision {done['revision']}")


def erase(id_: Id, key: Key = None, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Take away what a finished message held: body, headers, metadata, addresses, responses.

    \b
    Examples:
      clepsydra erase post-1
    """  # noqa: D301  click wants the character
    path = f"/v1/messages/{quote(id_, safe='')}/erase"
    done = ApiClient(url, api_key).call("POST", path, Idempotency_Key=key)
    if as_json:
        print_json(done)
        return
    console().print(f"[green]erased[/] {escape(done['id'])}, which was {done['state']}")


@dead.command()
def retry(
    id_: Id, target: Target = None, key: Key = None, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Try a dead letter again, at once: under the same delivery key, its schedule of retries begins anew.

    \b
    Examples:
      clepsydra dead retry post-1
      clepsydra dead retry post-1 --target 2
    """  # noqa: D301  click wants the character
    _act("retry", id_, target, key, ApiClient(url, api_key), as_json=as_json)


@dead.command()
def discard(
    id_: Id, target: Target = None, key: Key = None, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Give a dead letter up for good: it keeps its state, is listed no more, and its content goes.

    \b
    Examples:
      clepsydra dead discard post-1
    """  # noqa: D301  click wants the character
    _act("discard", id_, target, key, ApiClient(url, api_key), as_json=as_json)


@dead.command("mark-sent")
def mark_sent(
    id_: Id, target: Target = None, key: Key = None, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Say that a dead letter was sent: it becomes delivered, by your word.

    \b
    Examples:
      clepsydra dead mark-sent post-1
    """  # noqa: D301  click wants the character
    _act("mark-sent", id_, target, key, ApiClient(url, api_key), as_json=as_json)


def _act(action: str, id_: str, target: int | None, key: str | None, client: ApiClient, *, as_json: bool) -> None:
    body = None if target is None else {"target": target}
    done = client.call("POST", f"/v1/dead-letters/{quote(id_, safe='')}/{action}", body, Idempotency_Key=key)
    if as_json:
        print_json(done)
        return
    results = done["results"]
    targets = "" if len(results) == 1 else ": " + ", ".join(f"target {n} {state}" for n, state in results.items())
    console().print(f"[green]{done['state']}[/] {escape(done['id'])}{targets}")
