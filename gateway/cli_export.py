"""`clepsydra export`: messages as NDJSON that `clepsydra import` takes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import typer
from clepsydra_client import AsyncClient, Retries
from msgspec import Raw, Struct
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway.cli_messages import URL, ApiKey, Url
from gateway.client import checked_key, told_to_users
from gateway.errors import UserError
from gateway.output import AsJson, print_json
from gateway.requests import NewMessage
from gateway.when import moment
from schemas.ids import id_fault
from schemas.wire import encode

PAGE = 1_000
RETRIES = Retries(attempts=12, longest_retry_after_s=300)
GIVEN = frozenset(NewMessage.__struct_fields__)
"""The fields that make a message; the others say what became of it."""
BODIES = frozenset({"body", "body_base64"})


class Page(Struct):
    """Of the list; values are passed on as they came."""

    messages: list[dict[str, Raw]]
    cursor: str | None = None


class Exported(Struct, kw_only=True):
    """What is printed with --json. `left_out`: ids that Clepsydra made (occurrences of schedules, its own messages)."""

    file: str
    messages: int = 0
    left_out: int = 0
    without_body: int = 0


def export(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; - for standard output.")] = "-",
    state: Annotated[str | None, typer.Option(help="One or some, with commas: scheduled,retrying.")] = None,
    account: Annotated[str | None, typer.Option(help="Whose.")] = None,
    tag: Annotated[str | None, typer.Option(help="With this tag.")] = None,
    channel: Annotated[str | None, typer.Option(help="Sent by this.")] = None,
    due_from: Annotated[str | None, typer.Option(metavar="TIME", help="Due then or later.")] = None,
    due_to: Annotated[str | None, typer.Option(metavar="TIME", help="Due before.")] = None,
    prefix: Annotated[str | None, typer.Option("--prefix", help="Ids that begin so.")] = None,
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Write messages as NDJSON that `import` takes: all, or those that every option fits. From the archive.

    What Clepsydra made itself (the occurrences of schedules) is left out: it would be made again.

    \b
    Examples:
      clepsydra export pending.ndjson --state scheduled,retrying
      clepsydra export --account acme --due-from 2027-01-01T00:00:00Z | jq -c 'del(.id)'
    """  # noqa: D301  click wants the character
    if as_json and file == "-":
        raise UserError("--json prints a summary where the messages go: give a FILE")
    which = {
        "state": state, "account": account, "tag": tag, "channel": channel, "q": prefix,
        "due_from": moment(due_from) if due_from else None, "due_to": moment(due_to) if due_to else None,
    }  # fmt: skip
    done, key = Exported(file=file), checked_key(api_key)
    with told_to_users(url), _out(file) as out, _shown(done) as show:
        asyncio.run(_written(url, key, which, out, done, show))
    if as_json:
        print_json(done)
    else:
        _tell(done)


async def _written(
    url: str, key: str, which: Mapping[str, str | None], out: BinaryIO, done: Exported, show: Any
) -> None:
    async with AsyncClient(url, key, retries=RETRIES) as client:
        async for page in _pages(client, which):
            out.write(b"".join(_lines(page, done)))
            show()


async def _pages(client: AsyncClient, which: Mapping[str, str | None]) -> AsyncIterator[Page]:
    """Raises UserError for an answer that is no page."""
    cursor: str | None = None
    while True:
        answer = await client.read("/v1/messages", {**which, "limit": PAGE, "bodies": True, "cursor": cursor})
        try:
            page = msgspec.json.decode(answer, type=Page)
        except msgspec.DecodeError as fault:
            raise UserError(f"the answer is not of a Clepsydra gateway ({fault}): correct --url") from None
        yield page
        cursor = page.cursor
        if cursor is None:
            return


def _lines(page: Page, done: Exported) -> Iterator[bytes]:
    for message in page.messages:
        if id_fault(msgspec.json.decode(message["id"], type=str)):
            done.left_out += 1
            continue
        done.messages += 1
        done.without_body += BODIES.isdisjoint(message)
        yield encode({name: value for name, value in message.items() if name in GIVEN}) + b"\n"


@contextmanager
def _out(file: str) -> Iterator[BinaryIO]:
    """Standard output, or a file that is there only once it is whole."""
    if file == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(file)
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as out:
            yield out
        os.replace(partial, path)  # noqa: PTH105  as atomic as its name
    except OSError as fault:
        raise UserError(f"{file} cannot be written: {fault.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _shown(done: Exported) -> Iterator[Any]:
    """How many so far, on standard error, where that is a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} messages"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("export", total=None)
        yield lambda: progress.update(task, completed=done.messages)


def _tell(done: Exported) -> None:
    told = [f"{done.messages:,} messages"]
    if done.left_out:
        told.append(f"{done.left_out:,} that Clepsydra made itself were left out")
    if done.without_body:
        told.append(f"{done.without_body:,} have no body in the archive")
    Console(stderr=True, highlight=False).print("; ".join(told))
