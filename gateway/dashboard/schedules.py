"""Recurring schedules: what runs when, what it did, pause and resume."""

from typing import Any

from nicegui import ui

from gateway.dashboard.api import path_of
from gateway.dashboard.frame import fault_line, page_frame
from gateway.dashboard.session import Page
from gateway.dashboard.told import local

COLUMNS = ("id", "recurrence", "zone", "next", "last", "state", "note")
LOOK_S = 5.0


class SchedulesPage:
    """A table, and buttons for what is chosen."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def build(self) -> None:
        """Makes the page."""
        with page_frame("/schedules"):
            fault_line(self.page)
            with ui.element("section").classes("panel"):
                ui.label("Recurring schedules").classes("title")
                columns = [{"name": c, "label": c, "field": c, "align": "left"} for c in COLUMNS]
                self.table = ui.table(rows=[], columns=columns, row_key="id", selection="single")
                self.table.props("flat dense wrap-cells").classes("w-full")
                with ui.row().classes("gap-2 q-mt-sm"):
                    for text, action, done in (
                        ("Pause", "pause", "Paused"),
                        ("Resume", "resume", "Resumed"),
                        ("Trigger now", "trigger", "Triggered"),
                    ):
                        ui.button(text, on_click=lambda a=action, d=done: self._do(a, d)).props("outline")
        await self.look()
        ui.timer(LOOK_S, self.look, immediate=False)

    async def look(self) -> None:
        """What is defined now."""
        found = await self.page.look("/v1/schedules")
        if found is not None:
            self.table.update_rows([schedule_row(s) for s in found["schedules"]], clear_selection=False)

    async def _do(self, action: str, done: str) -> None:
        if not self.table.selected:
            ui.notify("Choose a schedule first", type="warning")
            return
        key = self.table.selected[0]["id"]
        if await self.page.tried(f"{key}: {done}", "POST", path_of("schedules", key, f"/{action}"), {}):
            await self.look()


def schedule_row(schedule: dict[str, Any]) -> dict[str, Any]:
    """One line."""
    recurrence = schedule["recurrence"]
    kind = next(iter(name for name in ("cron", "rrule", "every") if recurrence.get(name)), "")
    return {
        "id": schedule["id"],
        "recurrence": f"{kind} {recurrence.get(kind, '')}",
        "zone": schedule.get("timezone", ""),
        "next": local(schedule.get("next_at")),
        "last": local(schedule.get("last_at")),
        "state": "paused" if schedule.get("paused") else "running",
        "note": schedule.get("note") or "",
    }
