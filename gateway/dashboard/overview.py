"""The first page: are messages going out on time, what comes, what is wrong."""

from datetime import UTC, datetime, timedelta
from typing import Any

from nicegui import ui

from agents.ports import Clock
from gateway.dashboard.charts import count_chart, lateness_chart, show_counts, show_lateness
from gateway.dashboard.figures import Verdict, breakers, by_channel, minutes, parts, rate, span, total, verdict
from gateway.dashboard.frame import fault_line, page_frame
from gateway.dashboard.session import Page
from schemas.times import at, rfc3339

BACK_MINUTES = 60
AHEAD_MINUTES = 60
LOOK_S = 1.0


class Overview:
    """The page's parts, made once and filled each second."""

    def __init__(self, page: Page, clock: Clock) -> None:
        self.page, self.clock = page, clock
        self.seen: tuple[float, dict[str, dict[str, int]]] | None = None

    async def build(self) -> None:
        """Makes the page and keeps it up to date while it is open."""
        with page_frame("/"):
            fault_line(self.page)
            with ui.element("section").classes("panel verdict good").props("role=status") as self.verdict:
                self.headline = ui.label("…").classes("headline")
                self.detail = ui.label("").classes("soft")
            with ui.element("div").classes("tiles"):
                self.tiles = {name: tile(name) for name in TILES}
            with ui.element("section").classes("panel"):
                ui.label("Messages by due minute").classes("title")
                ui.label("An hour back, an hour ahead, in your time zone. Click a bar for its messages.").classes(
                    "soft"
                )
                self.counts = count_chart(self._open_minute)
            with ui.element("section").classes("panel"):
                ui.label("How late they went out").classes("title")
                self.lateness = lateness_chart()
            with ui.element("div").classes("w-full") as self.silent:
                self.breakers = table_panel("Endpoints that do not answer", BREAKER_COLUMNS)
            with ui.element("div").classes("two"):
                self.channels = table_panel("Channels", CHANNEL_COLUMNS)
                self.partitions = table_panel("Partitions", PARTITION_COLUMNS)
        await self.look()
        ui.timer(LOOK_S, self.look, immediate=False)

    async def look(self) -> None:
        """Fill the page with what the API says now."""
        now_ms = self.clock.now_ms()
        now = at(now_ms)
        axis = minutes(now - timedelta(minutes=BACK_MINUTES), BACK_MINUTES + AHEAD_MINUTES + 1)
        until = rfc3339(now_ms + (AHEAD_MINUTES + 1) * 60_000)
        told = await self.page.look("/v1/windows", from_=axis[0].isoformat(), to=until[:17] + "00Z")
        owners = await self.page.look("/v1/partitions")
        ways = await self.page.look("/v1/channels")
        if told is None or owners is None or ways is None:
            return
        windows, partitions, silent = told["windows"], owners["partitions"], breakers(ways["channels"])
        self._show_verdict(verdict(windows, partitions, now, len(silent)))
        self.breakers.update_rows(silent, clear_selection=False)
        self.silent.set_visibility(bool(silent))
        self._show_tiles(windows, partitions, now)
        show_counts(self.counts, windows, axis, now)
        show_lateness(self.lateness, windows, axis)
        self._show_channels(partitions, silent, now_ms / 1000)
        self.partitions.update_rows([partition_row(p) for p in partitions], clear_selection=False)

    def _show_verdict(self, found: Verdict) -> None:
        self.verdict.classes(replace=f"panel verdict {found.mood}")
        self.headline.set_text(found.headline)
        self.detail.set_text(found.detail)

    def _show_tiles(self, windows: list[Any], partitions: list[Any], now: datetime) -> None:
        past = [w for w in windows if datetime.fromisoformat(w["minute"]) <= now]
        last = next((w for w in reversed(past) if w["attempted"]), None)
        figures = {
            "In flight": f"{total(partitions, 'in_flight'):,}",
            "Due within an hour": f"{sum(p['pending'].get(h, 0) for p in partitions for h in ('1m', '1h')):,}",
            "Pending in all": f"{total(partitions, 'pending'):,}",
            "Sent this hour": f"{sum(w['delivered'] for w in past):,}",
            "To be retried": f"{sum(parts(w)['retrying'] for w in past):,}",
            "Failed this hour": f"{sum(parts(w)['failed'] for w in past):,}",
            "p99 of the last minute": span(last and last["lateness_ms_p99"]),
        }
        for name, value in figures.items():
            self.tiles[name].set_text(value)

    def _show_channels(self, partitions: list[Any], silent: list[dict[str, Any]], now_s: float) -> None:
        found = by_channel(partitions)
        for row in silent:
            counts = found.setdefault(row["channel"], {})
            counts["breakers"] = counts.get("breakers", 0) + 1
        before_s, before = self.seen or (now_s, found)
        rows = [channel_row(name, row, before.get(name, {}), now_s - before_s) for name, row in found.items()]
        self.channels.update_rows(rows, clear_selection=False)
        if self.seen is None or now_s - before_s >= 5:
            self.seen = (now_s, found)

    def _open_minute(self, minute: datetime) -> None:
        start = minute.astimezone(UTC)
        end = start + timedelta(minutes=1)
        ui.navigate.to(f"/messages?due_from={start:%Y-%m-%dT%H:%M:%SZ}&due_to={end:%Y-%m-%dT%H:%M:%SZ}")


TILES = (
    "In flight",
    "Due within an hour",
    "Pending in all",
    "Sent this hour",
    "To be retried",
    "Failed this hour",
    "p99 of the last minute",
)
CHANNEL_COLUMNS = ("channel", "in flight", "waiting", "per second", "delivered", "retries", "failed", "breakers")
LEFT = ("owner", "since", "channel", "silent since", "tried again")
BREAKER_COLUMNS = ("endpoint", "channel", "failures", "silent since", "tried again")
PARTITION_COLUMNS = ("partition", "owner", "since", "rows", "overdue", "commands")


def tile(name: str) -> ui.label:
    """A figure with its name; the label to set."""
    with ui.element("div").classes("tile"):
        ui.label(name).classes("soft")
        return ui.label("-").classes("value")


def table_panel(title: str, columns: tuple[str, ...]) -> ui.table:
    """A card with a table whose columns are named as their fields."""
    with ui.element("section").classes("panel"):
        ui.label(title).classes("title")
        described = [
            {"name": c, "label": c, "field": c, "align": "left" if n == 0 or c in LEFT else "right"}
            for n, c in enumerate(columns)
        ]
        return ui.table(rows=[], columns=described, row_key=columns[0]).props("flat dense").classes("w-full")


def channel_row(name: str, row: dict[str, int], before: dict[str, int], seconds: float) -> dict[str, Any]:
    """One line of the channels; figures count from the owners' beginnings."""
    return {
        "channel": name,
        "in flight": f"{row.get('in_flight', 0):,}",
        "waiting": f"{row.get('waiting', 0):,}",
        "per second": f"{rate(before.get('delivered', 0), row.get('delivered', 0), seconds):,.1f}",
        "delivered": f"{row.get('delivered', 0):,}",
        "retries": f"{row.get('retrying', 0):,}",
        "failed": f"{row.get('dead', 0) + row.get('unknown', 0):,}",
        "breakers": f"{row['breakers']:,} open" if row.get("breakers") else "-",
    }


def partition_row(p: dict[str, Any]) -> dict[str, Any]:
    """One line of the partitions."""
    since = p.get("since")
    return {
        "partition": p["partition"],
        "owner": f"{p['owner'] or 'none'}{' (silent)' if p['silent'] else ''}",
        "since": "-" if since is None else since[:19].replace("T", " "),
        "rows": f"{p['rows']:,}",
        "overdue": f"{p['pending'].get('overdue', 0):,}",
        "commands": f"{p['commands']:,}",
    }
