"""`clepsydra schedules list | show | pause | resume | trigger | backfill | remove`: clients of the HTTP API."""

from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from gateway.cli_messages import URL, ApiKey, Key, Url, due_text
from gateway.client import ApiClient
from gateway.output import AsJson, console, print_json, table
from gateway.output_fit import Columns, print_rows
from gateway.when import moment

SCHEDULES = Columns(
    ("id", "state", "recurrence", "zone", "next run", "note"), may_go=("note", "zone"), cut=("note", "recurrence")
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The schedule's id.", show_default=False)]


def add_schedule_acts(app: typer.Typer) -> None:
    """The commands on schedules that are there."""
    app.command("list")(list_)
    for command in (show, pause, resume, trigger, backfill, remove):
        app.command()(command)


def list_(url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List all schedules: what recurs, its state, the next run.

    \b
    Examples:
      clepsydra schedules list
      clepsydra schedules list --json | jq -r '.[] | select(.state == "paused").id'
    """  # noqa: D301  click wants the character
    client, found, cursor = ApiClient(url, api_key), [], ""
    while True:
        page = client.call("GET", f"/v1/schedules?limit=100&cursor={quote(cursor, safe='')}")
        found += page["schedules"]
        cursor = page.get("cursor", "")
        if not cursor:
            break
    if as_json:
        print_json(found)
        return
    if not found:
        console().print("No schedules.")
        return
    rows = [
        (
            *(each["id"], each["state"], recurrence_text(each["recurrence"]), each["timezone"]),
            when_text(each.get("next_due_at")),
            each.get("paused", {}).get("note") or each.get("note", ""),
        )
        for each in found
    ]
    print_rows(SCHEDULES, rows)


def show(id_: Id, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show a schedule: what it does, the next runs, what happened to the last ones and why.

    \b
    Examples:
      clepsydra schedules show nightly
      clepsydra schedules show nightly --json | jq '.history[] | select(.state == "missed")'
    """  # noqa: D301  click wants the character
    found = ApiClient(url, api_key).call("GET", path_of(id_))
    if as_json:
        print_json(found)
        return
    out, definition = console(), found["definition"]
    out.print(f"[bold]{escape(found['id'])}[/]  {found['state']}, revision {found['revision']}")
    out.print(f"recurrence  {escape(recurrence_text(found['recurrence']))}, {escape(found['timezone'])}")
    out.print(f"missed      {definition.get('missed', 'latest')}, overlap {definition.get('overlap', 'allow')}")
    for name, text in (("note", found.get("note")), ("paused", found.get("paused", {}).get("note"))):
        if text:
            out.print(f"{name:<11} {escape(text)}")
    rows = table("run", "state", "due", "why")
    for past in found.get("history", ()):
        until = f" to {past['until']}, {past['times']} runs" if past.get("times", 1) > 1 else ""
        rows.add_row(
            escape(past["nominal"] + until), past["state"], past.get("due_at", ""), escape(past.get("reason", ""))
        )
    for run in found.get("upcoming", ()):
        rows.add_row(escape(run["nominal"]), run.get("exception") or "to come", run["due_at"], "")
    out.print(rows)


def pause(
    id_: Id,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Pause a schedule: runs not handed over yet are taken back. A trigger still runs.

    \b
    Examples:
      clepsydra schedules pause nightly --note 'the disk is full'
    """  # noqa: D301  click wants the character
    done = ApiClient(url, api_key).call("POST", f"{path_of(id_)}/pause", {"note": note} if note else None)
    told(done, as_json=as_json)


def resume(id_: Id, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Resume a paused schedule; what was missed is treated as after an outage.

    \b
    Examples:
      clepsydra schedules resume nightly
    """  # noqa: D301  click wants the character
    told(ApiClient(url, api_key).call("POST", f"{path_of(id_)}/resume"), as_json=as_json)


def trigger(id_: Id, key: Key = None, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Run a schedule once, now. Prints the run's id, a message's as any other.

    \b
    Examples:
      clepsydra schedules trigger nightly
    """  # noqa: D301  click wants the character
    done = ApiClient(url, api_key).call("POST", f"{path_of(id_)}/trigger", Idempotency_Key=key)
    if as_json:
        print_json(done)
        return
    console().print(f"[green]runs now[/] {escape(done['occurrence'])}")


def backfill(
    id_: Id,
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="RFC 3339 with an offset, included.")],
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="RFC 3339 with an offset, included.")],
    key: Key = None,
    url: Url = URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Run now what never ran of a past period; what was sent, failed or cancelled is not run again.

    \b
    Examples:
      clepsydra schedules backfill nightly --from 2027-03-20T00:00:00Z --to 2027-03-27T00:00:00Z
    """  # noqa: D301  click wants the character
    period = {"from": moment(from_, "--from"), "to": moment(to, "--to")}
    done = ApiClient(url, api_key).call("POST", f"{path_of(id_)}/backfill", period, Idempotency_Key=key)
    if as_json:
        print_json(done)
        return
    console().print(f"[green]{done['runs']} runs made[/] of {escape(done['id'])}")


def remove(id_: Id, url: Url = URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Remove a schedule: runs not handed over yet are cancelled.

    \b
    Examples:
      clepsydra schedules remove nightly
    """  # noqa: D301  click wants the character
    told(ApiClient(url, api_key).call("DELETE", path_of(id_)), as_json=as_json)


def recurrence_text(recurrence: dict[str, Any]) -> str:
    """A recurrence in a few words."""
    if "cron" in recurrence:
        return str(recurrence["cron"])
    if "rrule" in recurrence:
        return f"{recurrence['rrule']} from {recurrence['dtstart']}"
    return f"every {recurrence['every']}"


def path_of(schedule_id: str) -> str:
    return f"/v1/schedules/{quote(schedule_id, safe='')}"


def told(done: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    coming = f", next run {when_text(done['next_due_at'])}" if done.get("next_due_at") else ""
    console().print(f"[green]{done['state']}[/] {escape(done['id'])}, revision {done['revision']}{coming}")


def when_text(due_at: str | None) -> str:
    return due_text(due_at).removeprefix("due ") if due_at else ""
