"""`clepsydra archive status | rebuild`: the archive in PostgreSQL, looked at and made again from Kafka."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer
from aiokafka import TopicPartition
from msgspec import Struct
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.output import AsJson, console, print_json, table
from gateway.when import distance
from topology.clock import SystemClock
from topology.producer import Kafka
from topology.settings import Settings, load_settings
from topology.topics import TopicNames

if TYPE_CHECKING:
    from topology.archive_rebuild import Rebuilt

archive = typer.Typer(no_args_is_help=True, help="The archive in PostgreSQL: how far it is; make it again from Kafka.")


class Reached(Struct, frozen=True):
    """How far one partition of `events` is archived."""

    partition: int
    archived: int
    end: int
    as_of: datetime

    @property
    def behind(self) -> int:
        """Events that are not in the archive yet."""
        return max(0, self.end - self.archived)


class Status(Struct, frozen=True, kw_only=True):
    """The archive in numbers."""

    behind: int
    as_of: datetime | None
    partitions: list[Reached]
    rows: dict[str, Any]


@archive.command()
def status(as_json: AsJson = False) -> None:
    """How far the archive is, and how much it holds. It needs CLEPSYDRA_POSTGRES and CLEPSYDRA_BROKERS.

    \b
    Examples:
      clepsydra archive status
    """  # noqa: D301  click wants the character
    found = asyncio.run(read_status(load_settings()))
    if as_json:
        print_json(found)
        return
    rows = table("partition", "archived", "end", "behind", "as of")
    for one in found.partitions:
        rows.add_row(*map(str, (one.partition, one.archived, one.end, one.behind, f"{one.as_of:%Y-%m-%d %H:%M:%S}")))
    out = console()
    out.print(rows)
    out.print(", ".join(f"{count} {name}" for name, count in found.rows.items() if name != "oldest"))
    as_of = "has not begun" if found.as_of is None else f"is {found.behind} events behind, as of {_ago(found.as_of)}"
    out.print(f"The archive {as_of}")


@archive.command("rebuild")
def rebuild_(as_json: AsJson = False) -> None:
    """Make the archive again from Kafka: all that `events` holds, and live messages that are older.

    Lists go on from the old tables until the new ones take their place. Archivists may run or not. What is older than
    the topic `events` keeps (30 days) and finished is gone afterwards.

    \b
    Examples:
      clepsydra archive rebuild
    """  # noqa: D301  click wants the character
    made = asyncio.run(_rebuild_shown(load_settings(), shown=not as_json))
    if as_json:
        print_json(made)
        return
    console().print(
        f"[green]rebuilt[/]: {made.messages} messages and {made.events} events, of {made.events_read} events and "
        f"{made.rows_read} rows of the timetable that were read; {made.unreadable} could not be read"
    )


async def _rebuild_shown(settings: Settings, *, shown: bool) -> "Rebuilt":
    from topology.archive_rebuild import rebuild  # noqa: PLC0415  what only this command needs must not slow the others

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(), disable=not shown) as progress:
        task = progress.add_task("reading Kafka", total=None)
        return await rebuild(
            settings,
            lambda total: progress.update(task, total=total),
            lambda count: progress.advance(task, count),
        )


async def read_status(settings: Settings) -> Status:
    """Raises ArchiveAwayError, KafkaError."""
    from topology.archive import Archive  # noqa: PLC0415  as above

    kafka = Kafka(settings.brokers, client_id="clepsydra-status", security=settings.kafka_security())
    async with Archive(settings) as found:
        offsets, as_of, rows = await found.offsets(), await found.as_of(), await found.counts()
    await kafka.start()
    try:
        topic = TopicNames(settings.prefix).events
        reached = [
            Reached(partition, archived, await kafka.end_of(TopicPartition(topic, partition)), complete)
            for partition, (archived, complete) in sorted(offsets.items())
        ]
    finally:
        await kafka.stop()
    return Status(behind=sum(r.behind for r in reached), as_of=as_of, partitions=reached, rows=dict(rows))


def _ago(moment: datetime) -> str:
    return escape(distance(moment.isoformat(), SystemClock().now_ms()))
