"""Recurring schedules: what runs when, what each occurrence came to and why; pause, resume, trigger."""

from typing import Any

from nicegui import ui

from gateway.dashboard.api import path_of
from gateway.dashboard.frame import fault_line, page_frame
from gateway.dashboard.session import Page
from gateway.told import local

COLUMNS = ("id", "recurrence", "zone", "next", "state", "note")
HISTORY_COLUMNS = ("nominal", "state", "at", "reason")
ACTIONS = (("Pause", "pause", "Paused"), ("Resume", "resume", "Resumed"), ("Trigger now", "trigger", "Triggered"))
LOOK_S = 5.0


class SchedulesPage:
    """A table, and below it the past and the future of the one that was chosen."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def build(self) -> None:
        """Makes the page."""
        with page_frame("/schedules"):
            fault_line(self.page)
            with ui.element("section").classes("panel"):
                ui.label("Recurring schedules").classes("title")
                ui.label("Choose one for its occurrences.").classes("soft")
                self.table = ui.table(rows=[], columns=columns(COLUMNS), row_key="id", selection="single")
                self.table.props("flat dense wrap-cells").classes("w-full").on_select(lambda _: self.show_past())
                with ui.row().classes("gap-2 q-mt-sm"):
                    for text, action, done in ACTIONS:
                        ui.button(text, on_click=lambda a=action, d=done: self._do(a, d)).props("outline")
            with ui.element("section").classes("panel"):
                self.whose = ui.label("Occurrences").classes("title")
                self.past = ui.table(rows=[], columns=columns(HISTORY_COLUMNS), row_key="nominal")
                self.past.props("flat dense wrap-cells").classes("w-full")
        await self.look()
        ui.timer(LOOK_S, self.look, immediate=False)

    async def look(self) -> None:
        """What is defined now."""
        found = await self.page.look("/v1/schedules")
        if found is not None:
            self.table.update_rows([schedule_row(s) for s in found["schedules"]], clear_selection=False)
        await self.show_past()

    async def show_past(self) -> None:
        """The occurrences of the chosen one: to come, then past, the newest first."""
        chosen = self.chosen()
        found = chosen and await self.page.look(path_of("schedules", chosen))
        if found:
            self.whose.set_text(f"Occurrences of {chosen}")
            self.past.update_rows(occurrence_rows(found))

    def chosen(self) -> str | None:
        """The schedule that is chosen."""
        return self.table.selected[0]["id"] if self.table.selected else None

    async def _do(self, action: str, done: str) -> None:
        chosen = self.chosen()
        if chosen is None:
            ui.notify("Choose a schedule first", type="warning")
        elif await self.page.tried(f"{chosen}: {done}", "POST", path_of("schedules", chosen, f"/{action}"), {}):
            await self.look()


def columns(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Columns named as their fields."""
    return [{"name": c, "label": c, "field": c, "align": "left"} for c in names]


def schedule_row(schedule: dict[str, Any]) -> dict[str, Any]:
    """One line."""
    recurrence = schedule["recurrence"]
    kind = next((name for name in ("cron", "rrule", "every") if recurrence.get(name)), "")
    paused = schedule.get("paused") or {}
    return {
        "id": schedule["id"],
        "recurrence": f"{kind} {recurrence.get(kind, '')}",
        "zone": schedule["timezone"],
        "next": local(schedule.get("next_due_at")),
        "state": schedule["state"],
        "note": paused.get("note") or schedule.get("note", ""),
    }


def occurrence_rows(schedule: dict[str, Any]) -> list[dict[str, Any]]:
    """What is to come, then what was, the newest first."""
    to_come = [
        {"nominal": local(u["nominal"]), "state": "to come", "at": local(u["due_at"]), "reason": ""}
        for u in schedule.get("upcoming", ())
    ]
    past = [
        {"nominal": local(h["nominal"]), "state": h["state"], "at": local(h.get("at")), "reason": h.get("reason", "")}
        for h in reversed(schedule.get("history", ()))
    ]
    return to_come + past
