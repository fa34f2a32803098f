"""Dead letters: what was given up or is in doubt, with what a person can decide of each."""

from typing import Any

from nicegui import ui

from gateway.dashboard.api import path_of
from gateway.dashboard.frame import fault_line, page_frame
from gateway.dashboard.search import open_message
from gateway.dashboard.session import Page
from gateway.told import local

COLUMNS = ("id", "target", "state", "channel", "reason", "attempts", "since")
ACTIONS = (
    ("Retry", "retry", "It is tried again"),
    ("Discard", "discard", "Discarded"),
    ("Mark as sent", "mark-sent", "Marked as sent"),
)


class DeadLettersPage:
    """A table in which some are chosen and decided upon."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def build(self) -> None:
        """Makes the page."""
        with page_frame("/dead-letters"):
            fault_line(self.page)
            with ui.element("section").classes("panel"):
                ui.label("Dead letters").classes("title")
                self.as_of = ui.label("").classes("soft")
                with ui.row().classes("gap-2 q-my-sm"):
                    for text, action, done in ACTIONS:
                        ui.button(text, on_click=lambda a=action, d=done: self._decide(a, d)).props("outline")
                    ui.button(icon="refresh", on_click=self.look).props('flat round aria-label="look again"')
                columns = [{"name": c, "label": c, "field": c, "align": "left"} for c in COLUMNS]
                self.table = ui.table(rows=[], columns=columns, row_key="key", selection="multiple")
                self.table.props("flat dense wrap-cells").classes("w-full")
                self.table.on("row-click", lambda e: open_message(e.args[1]["id"]))
        await self.look()

    async def look(self) -> None:
        """What is held now, as far as the archive knows."""
        found = await self.page.look("/v1/dead-letters", limit=200)
        if found is not None:
            self.table.update_rows([letter_row(letter) for letter in found["dead_letters"]])
            self.as_of.set_text(f"As of {local(found['as_of'])}. Choose some, then decide; a click opens one.")

    async def _decide(self, action: str, done: str) -> None:
        """One after the other; each answer is its owner's."""
        chosen = list(self.table.selected)
        if not chosen:
            ui.notify("Choose some first", type="warning")
        for row in chosen:
            await self.page.tried(
                f"{row['id']}: {done}",
                "POST",
                path_of("dead-letters", row["id"], f"/{action}"),
                {"target": row["target"]},
            )
        self.table.selected.clear()
        await self.look()


def letter_row(letter: dict[str, Any]) -> dict[str, Any]:
    """One line."""
    return {
        "key": f"{letter['id']}/{letter['target']}",
        "id": letter["id"],
        "target": letter["target"],
        "state": letter["state"],
        "channel": letter["channel"],
        "reason": letter.get("reason", ""),
        "attempts": letter["attempts"],
        "since": local(letter["held_since"]),
    }
