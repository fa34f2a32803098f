"""Flows: the limits and pauses of accounts and channels, seen and set."""

from typing import Any

from nicegui import ui

from gateway.dashboard.api import path_of
from gateway.dashboard.frame import fault_line, page_frame
from gateway.dashboard.session import Page

COLUMNS = ("flow", "rate", "burst", "parallelism", "paused", "held back", "note")
LOOK_S = 2.0
KEPT = ("rate", "per", "burst", "parallelism", "note", "honours_key", "timeout", "webhook_secrets")


class FlowsPage:
    """A table, and buttons to pause, resume and change what is chosen."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.flows: dict[str, dict[str, Any]] = {}

    async def build(self) -> None:
        """Makes the page."""
        with page_frame("/flows"):
            fault_line(self.page)
            with ui.element("section").classes("panel"):
                ui.label("Flows").classes("title")
                ui.label("An account or flow without limits is not listed: its messages go when they are due.").classes(
                    "soft"
                )
                columns = [{"name": c, "label": c, "field": c, "align": "left"} for c in COLUMNS]
                self.table = ui.table(rows=[], columns=columns, row_key="flow", selection="single")
                self.table.props("flat dense wrap-cells").classes("w-full")
                with ui.row().classes("gap-2 q-mt-sm"):
                    ui.button("Pause", icon="pause", on_click=lambda: self._pause(paused=True)).props("outline")
                    ui.button("Resume", icon="play_arrow", on_click=lambda: self._pause(paused=False)).props("outline")
            with ui.element("section").classes("panel"):
                self._form()
        await self.look()
        ui.timer(LOOK_S, self.look, immediate=False)

    def _form(self) -> None:
        ui.label("Set the limits of a flow").classes("title")
        with ui.row().classes("items-end gap-3"):
            self.key = ui.input("Flow or account")
            self.rate = ui.number("Sends", min=1, precision=0)
            self.per = ui.input("in each (ISO 8601)", value="PT1S")
            self.burst = ui.number("Burst", value=1, min=1, precision=0)
            self.note = ui.input("Note")
            ui.button("Set", on_click=self._set)

    async def look(self) -> None:
        """What is set now."""
        found = await self.page.look("/v1/flows")
        if found is not None:
            self.flows = {flow["key"]: flow for flow in found["flows"]}
            self.table.update_rows([flow_row(flow) for flow in found["flows"]], clear_selection=False)

    async def _pause(self, *, paused: bool) -> None:
        if not self.table.selected:
            ui.notify("Choose a flow first", type="warning")
            return
        key = self.table.selected[0]["flow"]
        limits = {name: self.flows[key][name] for name in KEPT} | {"paused": paused}
        if await self.page.tried("Paused" if paused else "Resumed", "PUT", path_of("flows", key), limits):
            await self.look()

    async def _set(self) -> None:
        if not self.key.value:
            ui.notify("Name a flow or account", type="warning")
            return
        limits: dict[str, Any] = {"per": self.per.value, "burst": int(self.burst.value or 1), "note": self.note.value}
        if self.rate.value:
            limits["rate"] = int(self.rate.value)
        if await self.page.tried("Set", "PUT", path_of("flows", self.key.value), limits):
            await self.look()


def flow_row(flow: dict[str, Any]) -> dict[str, Any]:
    """One line."""
    rate = "no limit" if flow["rate"] is None else f"{flow['rate']} in {flow['per']}"
    return {
        "flow": flow["key"],
        "rate": rate,
        "burst": flow["burst"],
        "parallelism": flow["parallelism"] or "no limit",
        "paused": "paused" if flow["paused"] else "",
        "held back": flow.get("held_back") or "",
        "note": flow["note"],
    }
