"""`clepsydra schedules …`: clients of the HTTP API."""

from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.markup import escape

from gateway.cli_messages import URL, ApiKey, Url
from gateway.client import ApiClient
from gateway.errors import UserError
from gateway.output import AsJson, console, print_json, table
from gateway.when import span
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
    found = ApiClient(url, api_key).call("POST", "/v1/schedules/preview", wanted)
    if as_json:
        print_json(found)
        return
    rows = table("UTC", timezone or "UTC")
    for moment, local in zip(found["occurrences"], found["local"], strict=True):
        rows.add_row(moment, escape(local))
    console().print(rows)
    if found["ends"]:
        console().print("[dim]there are no more[/]")


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


def length(text: str) -> timedelta:
    """`15m`, `1h30m` or `PT15M`. Raises UserError."""
    try:
        return span(text)
    except UserError as fault:
        raise UserError(str(fault).replace("--in ", "--every ")) from None


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
