"""`clepsydra topics schema`: what the records on the topics look like."""

from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from gateway.cli_topics import Prefix
from gateway.errors import UserError
from gateway.output import AsJson, console, print_json, table
from schemas.topic_records import RECORDS, TopicRecords, json_schema, records_of
from topology.settings import load_settings

PACKING = {"single": "one per record", "packed": "a JSON array of them", "either": "one, or a JSON array of them"}


def schema(
    name: Annotated[str | None, typer.Argument(help="Short (events, due.webhook) or full name.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every topic's, in one JSON object by topic.")] = False,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> None:
    """Print the JSON Schema of a topic's records; without a name, what lies on each topic.

    \b
    Examples:
      clepsydra topics schema
      clepsydra topics schema commands > commands.schema.json
      clepsydra topics schema --all --json | jq .events
    """  # noqa: D301  click wants the character
    if all_ and name is not None:
        raise UserError(f"--all prints every topic's schema: leave out --all or {name!r}")
    if all_:
        _print({each.topic: json_schema(each) for each in RECORDS}, as_json)
    elif name is not None:
        _print(json_schema(_named(name, prefix)), as_json)
    elif as_json:
        print_json([{"topic": each.topic, "says": each.says, "key": each.key} for each in RECORDS])
    else:
        _list()


def _named(name: str, prefix: str | None) -> TopicRecords:
    found = records_of(name, load_settings(prefix=prefix).prefix)
    if found is None:
        raise UserError(f"there is no schema of {name!r}: use one of {', '.join(each.topic for each in RECORDS)}")
    return found


def _print(value: object, as_json: bool) -> None:
    """Indented for people, who may pipe it as it is; on one line for programs."""
    if as_json:
        print_json(value)
    else:
        typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _list() -> None:
    rows = table("topic", "value", "key", "what it says")
    for each in RECORDS:
        topic = f"{each.topic}.<channel>" if each.per_channel else each.topic
        rows.add_row(topic, PACKING[each.packing], escape(each.key), escape(each.says))
    console().print(rows)
