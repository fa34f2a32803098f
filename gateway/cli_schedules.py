"""`clepsydra schedules …`: clients of the HTTP API."""

from datetime import timedelta
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape

from gateway.cli_messages import (
    URL,
    ApiKey,
    Body,
    ContentType,
    Header,
    Key,
    Priority,
    Tag,
    Url,
    content,
    headers,
    read_text,
)
from gateway.cli_schedule_acts import Id, path_of, told
from gateway.client import ApiClient
from gateway.errors import UserError
from gateway.output import AsJson, console, print_json, table
from gateway.when import span
from schemas.schedule import Missed, Overlap
from schemas.zones import Fold, Gap

schedules = typer.Typer(no_args_is_help=True, help="Recurring messages: cron, RRULE or every so often.")

Cron = Annotated[
    str | None, typer.Option(metavar="FIELDS", help="Five fields: minute hour day month weekday; or @daily.")
]
Rrule = Annotated[str | None, typer.Option(metavar="RULE", help="RFC 5545, as 'FREQ=WEEKLY;BYDAY=MO'; with --dtstart.")]
Dtstart = Annotated[str | None, typer.Option(metavar="LOCAL", help="The rule's first time, as 2027-01-04T09:00:00.")]
Rdate = Annotated[list[str] | None, typer.Option(metavar="LOCAL", help="One more time of the rule; may be repeated.")]
Exdate = Annotated[list[str] | None, typer.Option(metavar="LOCAL", help="Not at this time; may be repeated.")]
Every = Annotated[str | None, typer.Option(metavar="LENGTH", help="Elapsed time, as 15m or PT15M.")]
Anchor = Annotated[str | None, typer.Option(metavar="TIME", help="An instant that the intervals fall on.")]
Zone = Annotated[
    str | None, typer.Option("--timezone", "--tz", metavar="ZONE", help="IANA, as Europe/Rome. [default: UTC]")
]
InGap = Annotated[Gap | None, typer.Option(help="Where the clocks skip the local time. [default: shift_forward]")]
InFold = Annotated[Fold | None, typer.Option(help="Where the local time comes twice. [default: first]")]
Start = Annotated[str | None, typer.Option(metavar="TIME", help="Nothing before; local, or with an offset.")]
End = Annotated[str | None, typer.Option(metavar="TIME", help="Nothing after; local, or with an offset.")]


@schedules.command()
def preview(
    cron: Cron = None,
    rrule: Rrule = None,
    dtstart: Dtstart = None,
    rdate: Rdate = None,
    exdate: Exdate = None,
    every: Every = None,
    anchor: Anchor = None,
    timezone: Zone = None,
    gap: InGap = None,
    fold: InFold = None,
    start: Start = None,
    end: End = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Not now, but from then on.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1000, help="How many.")] = 10,
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show when a recurrence would run, without making a schedule of it.

    \b
    Examples:
      clepsydra schedules preview --cron '30 2 * * *' --tz Europe/Rome --from 2027-03-27T12:00:00Z
      clepsydra schedules preview --rrule 'FREQ=MONTHLY;BYDAY=-1FR' --dtstart 2027-01-29T17:00:00 --tz Europe/Rome
      clepsydra schedules preview --every 15m -n 4 --json | jq -r '.occurrences[]'
    """  # noqa: D301  click wants the character
    recurrence = recurrence_of(cron, rrule, dtstart, rdate, exdate, every, anchor)
    given = timing_of(timezone, gap, fold, start, end) | {"recurrence": recurrence, "count": count, "from": from_}
    wanted = {name: value for name, value in given.items() if value is not None}
    found = ApiClient(url, api_key).call("POST", "/v1/schedules/preview", encodable(wanted))
    if as_json:
        print_json(found)
        return
    rows = table("UTC", timezone or "UTC")
    for moment, local in zip(found["occurrences"], found["local"], strict=True):
        rows.add_row(moment, escape(local))
    console().print(rows)
    if found["ends"]:
        console().print("[dim]there are no more[/]")


@schedules.command()
def add(
    id_: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Your own id; else it gets one.", show_default=False)
    ] = None,
    cron: Cron = None,
    rrule: Rrule = None,
    dtstart: Dtstart = None,
    rdate: Rdate = None,
    exdate: Exdate = None,
    every: Every = None,
    anchor: Anchor = None,
    timezone: Zone = None,
    gap: InGap = None,
    fold: InFold = None,
    start: Start = None,
    end: End = None,
    count: Annotated[int | None, typer.Option("--count", min=1, help="So many runs, then no more.")] = None,
    jitter: Annotated[str | None, typer.Option(metavar="LENGTH", help="Up to so much later, evenly, as 10m.")] = None,
    missed: Annotated[Missed | None, typer.Option(help="After an outage or a pause. [default: latest]")] = None,
    catch_up: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="How late a missed run may begin. [default: 12h]")
    ] = None,
    overlap: Annotated[Overlap | None, typer.Option(help="While a former run is unfinished. [default: allow]")] = None,
    note: Annotated[str | None, typer.Option(help="For people.")] = None,
    to: Annotated[str, typer.Option("--to", help="A URL for webhook, an address for email, a topic for kafka.")] = "",
    channel: Annotated[str, typer.Option(help="How to send it.")] = "webhook",
    body: Body = None,
    content_type: ContentType = None,
    header: Header = None,
    account: Annotated[str | None, typer.Option(help="Whose it is; limits apply per account.")] = None,
    tag: Tag = None,
    priority: Priority = None,
    key: Key = None,
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Make a schedule: a message that is sent again and again. Prints its id and the next run.

    \b
    Examples:
      clepsydra schedules add nightly --cron '30 2 * * *' --tz Europe/Rome --to https://example.com/backup --overlap skip
      clepsydra schedules add payday --rrule 'FREQ=MONTHLY;BYDAY=-1FR' --dtstart 2027-01-29T17:00:00 --channel log
      clepsydra schedules add heartbeat --every 15m --missed skip --to https://example.com/beat
    """  # noqa: D301  click wants the character
    message = content(body, content_type) | {
        "channel": channel, "to": to, "headers": headers(header), "account": account, "tags": tag, "priority": priority,
    }  # fmt: skip
    given = timing_of(timezone, gap, fold, start, end) | {
        "id": id_, "recurrence": recurrence_of(cron, rrule, dtstart, rdate, exdate, every, anchor), "count": count,
        "jitter": None if jitter is None else length(jitter, "--jitter"), "note": note,
        "missed": missed and missed.value, "overlap": overlap and overlap.value,
        "catch_up": None if catch_up is None else length(catch_up, "--catch-up"),
        "message": {name: value for name, value in message.items() if value is not None},
    }  # fmt: skip
    wanted = {name: value for name, value in given.items() if value is not None}
    done = ApiClient(url, api_key).call("POST", "/v1/schedules", encodable(wanted), Idempotency_Key=key)
    told(done, as_json=as_json)


@schedules.command()
def edit(
    id_: Id,
    cron: Cron = None,
    rrule: Rrule = None,
    dtstart: Dtstart = None,
    every: Every = None,
    timezone: Zone = None,
    missed: Annotated[Missed | None, typer.Option(help="After an outage or a pause.")] = None,
    catch_up: Annotated[str | None, typer.Option(metavar="LENGTH", help="How late a missed run may begin.")] = None,
    overlap: Annotated[Overlap | None, typer.Option(help="While a former run is unfinished.")] = None,
    note: Annotated[str | None, typer.Option(help="For people.")] = None,
    changes: Annotated[
        str | None,
        typer.Option("--set", metavar="JSON", help="Any members as JSON, null takes one away; @FILE reads a file."),
    ] = None,
    revision: Annotated[int | None, typer.Option(help="Only if it still is this revision.")] = None,
    key: Key = None,
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Change a schedule. Runs that were not handed over yet are replaced.

    \b
    Examples:
      clepsydra schedules edit nightly --cron '0 3 * * *'
      clepsydra schedules edit nightly --set '{"message": {"channel": "log", "body": "new"}, "end": null}'
    """  # noqa: D301  click wants the character
    recurrence = {"cron": cron, "rrule": rrule, "dtstart": dtstart, "every": every and length(every)}
    given = {
        "recurrence": {name: value for name, value in recurrence.items() if value is not None} or None,
        "timezone": timezone, "missed": missed and missed.value, "overlap": overlap and overlap.value, "note": note,
        "catch_up": None if catch_up is None else length(catch_up, "--catch-up"),
    }  # fmt: skip
    wanted = {name: value for name, value in given.items() if value is not None} | _members(changes)
    if not wanted:
        raise UserError(
            "nothing to change: give at least one of --cron, --every, --timezone, --missed, --note, --set, ..."
        )
    match = None if revision is None else f'"{revision}"'
    done = ApiClient(url, api_key).call("PATCH", path_of(id_), encodable(wanted), Idempotency_Key=key, If_Match=match)
    told(done, as_json=as_json)


def recurrence_of(
    cron: str | None,
    rrule: str | None,
    dtstart: str | None,
    rdate: list[str] | None,
    exdate: list[str] | None,
    every: str | None,
    anchor: str | None,
) -> dict[str, Any]:
    """The options as the API takes them. Raises UserError when there is none."""
    given = {
        "cron": cron, "rrule": rrule, "dtstart": dtstart, "rdates": rdate or None, "exdates": exdate or None,
        "every": None if every is None else length(every), "anchor": anchor,
    }  # fmt: skip
    found = {name: value for name, value in given.items() if value is not None}
    if not found.keys() & {"cron", "rrule", "every"}:
        raise UserError("no recurrence: give --cron '0 2 * * *', --rrule with --dtstart, or --every 15m")
    return found


def length(text: str, option: str = "--every") -> timedelta:
    """`15m`, `1h30m` or `PT15M`. Raises UserError."""
    try:
        return span(text)
    except UserError as fault:
        raise UserError(str(fault).replace("--in ", f"{option} ")) from None


def timing_of(
    timezone: str | None, gap: Gap | None, fold: Fold | None, start: str | None, end: str | None
) -> dict[str, Any]:
    """The options as the API takes them."""
    return {
        "timezone": timezone,
        "gap": None if gap is None else gap.value,
        "fold": None if fold is None else fold.value,
        "start": start,
        "end": end,
    }


def _members(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        found: dict[str, Any] = msgspec.json.decode(read_text(text), type=dict[str, Any])
    except msgspec.DecodeError as fault:
        raise UserError(f"--set is no JSON object: {fault}") from None
    return found


def encodable(value: dict[str, Any]) -> dict[str, Any]:
    """With durations as ISO 8601."""
    made: dict[str, Any] = msgspec.to_builtins(value)
    return made
