"""Finding messages: by id at once from its owner, by account, tag, channel, state or due time from the archive."""

from typing import Any
from urllib.parse import quote

from nicegui import ui

from gateway.dashboard.frame import fault_line, page_frame
from gateway.dashboard.session import Page
from gateway.told import local

STATES = ("", "scheduled", "emitted", "retrying", "delivered", "partial", "dead", "unknown", "expired", "cancelled")
FIELDS = ("account", "tag", "channel", "due_from", "due_to")
COLUMNS = ("id", "state", "due", "account", "channel", "tags")


class SearchPage:
    """A form, and a table that grows by pages."""

    def __init__(self, page: Page, given: dict[str, str]) -> None:
        self.page, self.given = page, given
        self.cursor: str | None = None
        self.rows: list[dict[str, Any]] = []

    async def build(self) -> None:
        """Makes the page; what the address asks for is looked up at once."""
        with page_frame("/messages"):
            with ui.element("section").classes("panel"):
                self._form()
            fault_line(self.page)
            with ui.element("section").classes("panel"):
                self.as_of = ui.label("").classes("soft")
                columns = [{"name": c, "label": c, "field": c, "align": "left"} for c in COLUMNS]
                self.table = ui.table(rows=[], columns=columns, row_key="id").props("flat dense wrap-cells")
                self.table.classes("w-full cursor-pointer").on("row-click", lambda e: open_message(e.args[1]["id"]))
                self.more = ui.button("More", on_click=self.next_page).props("flat")
        await self.search()

    def _form(self) -> None:
        with ui.row().classes("items-end gap-3 w-full"):
            found = ui.input("Message id").props('clearable autofocus data-test="id"').classes("grow")
            found.on("keydown.enter", lambda: open_message(found.value))
            ui.button("Open", icon="arrow_forward", on_click=lambda: open_message(found.value))
        with ui.row().classes("items-end gap-3 w-full"):
            self.state = ui.select(list(STATES), label="State", value=self.given.get("state", "")).classes("w-36")
            self.fields = {
                name: ui.input(name.replace("_", " "), value=self.given.get(name, "")).on("keydown.enter", self.search)
                for name in FIELDS
            }
            ui.button("Find", icon="search", on_click=self.search)

    async def search(self) -> None:
        """From the beginning."""
        self.cursor, self.rows = None, []
        await self.next_page()

    async def next_page(self) -> None:
        """Another page of what was asked for."""
        wanted = {name: field.value for name, field in self.fields.items()} | {"state": self.state.value}
        found = await self.page.look("/v1/messages", **wanted, cursor=self.cursor)
        if found is None:
            self.more.set_visibility(False)
            return
        self.rows += [message_row(m) for m in found["messages"]]
        self.cursor = found.get("cursor")
        self.table.update_rows(self.rows)
        self.as_of.set_text(f"{len(self.rows)} messages; the archive is as of {local(found.get('as_of'))}")
        self.more.set_visibility(self.cursor is not None)


def open_message(message_id: str | None) -> None:
    """Its page, if one is named."""
    if message_id:
        ui.navigate.to(f"/message/{quote(message_id.strip(), safe='')}")


def message_row(m: dict[str, Any]) -> dict[str, Any]:
    """One line of what was found."""
    return {
        "id": m["id"],
        "state": m["state"],
        "due": local(m["due_at"]),
        "account": m.get("account") or "",
        "channel": m.get("channel") or f"{len(m.get('targets', ()))} targets",
        "tags": ", ".join(m.get("tags", ())),
    }
