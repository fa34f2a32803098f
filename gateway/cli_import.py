"""`clepsydra import`: a file of messages, through the bulk endpoint."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from clepsydra_client import AsyncClient, Retries
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from agents.channels import made_channels
from gateway.cli_messages import URL, ApiKey, Url
from gateway.client import checked_key, told_to_users
from gateway.import_check import checking
from gateway.import_journal import Counts, Journal
from gateway.import_run import Import, Refusals, asking
from gateway.import_source import Format, Source
from gateway.import_tape import Tape
from gateway.output import AsJson, console, print_json
from schemas.decisions import Policy
from topology.channel_settings import channel_settings
from topology.clock import SystemClock
from topology.collector import calm_collector
from topology.settings import load_settings

RETRIES = Retries(attempts=12, longest_retry_after_s=300)
"""A minute and more: a gateway may be restarted meanwhile."""


class Summary(Struct, frozen=True, kw_only=True):
    """What is printed with --json. `per_second`: of the lines of this run, which began behind line `resumed_after`."""

    file: str
    lines: int
    accepted: int
    repeated: int
    refused: int
    refused_file: str | None
    resumed_after: int
    seconds: float
    per_second: float
    dry_run: bool


def import_(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="NDJSON or CSV; - for standard input.", show_default=False)
    ],
    format_: Annotated[
        Format | None, typer.Option("--format", help="Else by the file's ending; NDJSON for standard input.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line here, send nothing.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="From the first line, whatever was imported before.")
    ] = False,
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Schedule the messages of a file, one per line. Exit 1 if any was refused: FILE.refused.ndjson says why.

    After Ctrl-C or a crash the same command goes on where it was. No message is made twice: a line without an id gets
    one of its place in the file.

    CSV: the first line names the columns, as in id,due_at,channel,to,body,account,tags,headers.X,metadata.X. Tags are
    separated by semicolons, targets and retry are JSON, empty cells are left out.

    \b
    Examples:
      clepsydra import posts.ndjson
      clepsydra import reminders.csv --dry-run
      zcat posts.ndjson.gz | clepsydra import -
      jq -c .given posts.ndjson.refused.ndjson | clepsydra import -
    """  # noqa: D301  click wants the character
    key = None if dry_run else checked_key(api_key)
    source = Source(file, format_)
    with source.opened() as opened, _progress(source) as show:
        journal = Journal(None) if dry_run or source.path is None else Journal.beside(source.path)
        if restart:
            journal.remove()
        place = journal.read(url)
        tape = Tape(opened)
        entries = source.entries(tape, place)
        counts = place.counts if place else Counts()
        refusals = Refusals(None if dry_run else source.refused, place.refused if place else 0)
        run = Import(tape, journal, refusals, url=url, counts=counts, moved=lambda: show(run))
        began, before = time.perf_counter(), counts.lines
        calm_collector()
        try:
            with told_to_users(url):
                asyncio.run(_sent(run, entries, url, key) if key else _checked(run, entries))
        except BaseException:
            if counts.lines and not dry_run and source.path is not None:
                typer.echo(f"stopped: {counts.lines:,} lines are in; the same command goes on with the next", err=True)
            raise
        seconds = time.perf_counter() - began
    summary = Summary(
        file=file,
        lines=counts.lines,
        accepted=counts.accepted,
        repeated=counts.repeated,
        refused=counts.refused,
        refused_file=str(source.refused) if counts.refused and not dry_run else None,
        resumed_after=place.number if place else 0,
        seconds=round(seconds, 3),
        per_second=round((counts.lines - before) / seconds, 1),
        dry_run=dry_run,
    )
    if as_json:
        print_json(summary)
    else:
        _tell(summary, refusals)
    if counts.refused:
        raise typer.Exit(1)


async def _sent(run: Import, entries: Iterator[Any], url: str, key: str) -> None:
    async with AsyncClient(url, key, retries=RETRIES) as client:
        await run.run(entries, asking(client))


async def _checked(run: Import, entries: Iterator[Any]) -> None:
    settings, clock = load_settings(), SystemClock()
    channels = made_channels(channel_settings(settings), clock)
    policy = Policy(delays_ms={name: channel.delays_ms for name, channel in channels.items()})
    await run.run(entries, checking(clock.now_ms(), policy))


@contextmanager
def _progress(source: Source) -> Iterator[Any]:
    """A bar on standard error, where that is a terminal."""
    columns = (
        BarColumn(),
        TextColumn("{task.fields[lines]:,} lines, {task.fields[rate]:,.0f}/s, {task.fields[refused]:,} refused"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("import", total=source.size, lines=0, rate=0, refused=0)
        began, first = time.perf_counter(), -1

        def show(run: Import) -> None:
            nonlocal first
            first = run.before if first < 0 else first
            rate = (run.counts.lines - first) / (time.perf_counter() - began)
            bar.update(task, completed=run.offset, lines=run.counts.lines, rate=rate, refused=run.counts.refused)

        yield show


def _tell(summary: Summary, refusals: Refusals) -> None:
    out = console()
    for refused in refusals.first:
        faults = "; ".join(f"{e.field} {e.problem}: {e.remedy}".strip() for e in refused.problem.errors)
        out.print(f"[red]line {refused.line}[/] {escape(faults or refused.problem.detail or refused.problem.title)}")
    if summary.refused > len(refusals.first):
        out.print(f"[red]and {summary.refused - len(refusals.first):,} more[/]")
    word = "would be accepted" if summary.dry_run else "accepted"
    repeated = f", {summary.repeated:,} of them before" if summary.repeated else ""
    out.print(
        f"[green]{summary.accepted + summary.repeated:,} {word}[/]{repeated}, {summary.refused:,} refused "
        f"of {summary.lines:,} lines, {summary.per_second:,.0f}/s"
    )
    if summary.refused_file:
        out.print(f"The refused lines, with what is wrong: {escape(summary.refused_file)}")
