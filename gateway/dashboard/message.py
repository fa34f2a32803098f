"""One message's page: its story, each target, each answer; edit, cancel, send now from there."""

from typing import Any

import msgspec
from nicegui import ui

from gateway.dashboard.api import ClepsydraError, path_of
from gateway.dashboard.frame import page_frame, state_badge
from gateway.dashboard.session import Page
from gateway.told import local, moments, story

LOOK_S = 2.0
OPEN = ("scheduled", "retrying", "emitted")
COLUMNS = ("target", "channel", "to", "state", "due, or next try", "attempts", "first try late by", "answer")


class MessagePage:
    """Looked at every two seconds while the message is open, and drawn anew when it has changed."""

    def __init__(self, page: Page, message_id: str) -> None:
        self.page, self.id = page, message_id
        self.seen: dict[str, Any] = {}
        self.fault = ""

    async def build(self) -> None:
        """Makes the page."""
        with page_frame("/messages"):
            self.lasting = ui.element()
            """Holds the dialogs: what is drawn anew would take them along."""
            await self._read()
            self.content()
            ui.timer(LOOK_S, self.look_again, immediate=False)

    async def look_again(self) -> None:
        """While something can still happen."""
        if self.fault or self.seen["state"] in OPEN:
            await self._look()

    async def _look(self) -> None:
        before = (self.seen, self.fault)
        await self._read()
        if (self.seen, self.fault) != before:
            await self.content.refresh()

    async def _read(self) -> None:
        try:
            self.seen = await self.page.read(path_of("messages", self.id))
            self.fault = ""
        except ClepsydraError as fault:
            self.fault = str(fault)

    @ui.refreshable_method
    def content(self) -> None:
        """All of it, as its owner knew it at the last look."""
        if self.fault:
            ui.label(self.fault).classes("panel bad verdict").props("role=alert")
        if not self.seen:
            return
        self._head(self.seen)
        with ui.element("div").classes("two"):
            self._timeline(self.seen)
            self._content_panel(self.seen)
        self._deliveries(self.seen)

    def _head(self, message: dict[str, Any]) -> None:
        with ui.element("section").classes("panel"):
            with ui.row().classes("items-center gap-3 w-full"):
                ui.label(message["id"]).classes("headline mono").style("font-size: 1.2rem")
                state_badge(message["state"])
                ui.space()
                self._actions(message)
            for sentence in story(message):
                ui.label(sentence).classes("q-mt-sm")
            facts = [
                f"Due {local(message['due_at'])}",
                f"revision {message['revision']}",
                f"priority {message['priority']}",
            ]
            facts += [f"{name} {message[name]}" for name in ("account", "flow") if message.get(name)]
            facts += [f"tags {', '.join(message['tags'])}"] if message.get("tags") else []
            ui.label(" · ".join(facts)).classes("soft q-mt-sm")

    def _actions(self, message: dict[str, Any]) -> None:
        held = any(d["state"] in ("dead", "unknown") for d in message["deliveries"])
        if message["state"] in OPEN:
            ui.button("Edit", icon="edit", on_click=self._edit).props("outline")
            ui.button("Send now", icon="send", on_click=self._send_now).props("outline")
            ui.button("Cancel", icon="block", on_click=self._cancel).props("outline color=negative")
        if held:
            ui.button("Retry", icon="replay", on_click=self._retry).props("outline")

    def _timeline(self, message: dict[str, Any]) -> None:
        with ui.element("section").classes("panel"):
            ui.label("What happened").classes("title")
            with ui.timeline(side="right").classes("q-mt-sm"):
                for when, what, why in moments(message):
                    ui.timeline_entry(why, title=what, subtitle=when)

    def _content_panel(self, message: dict[str, Any]) -> None:
        with ui.element("section").classes("panel"):
            ui.label("What it says").classes("title")
            body = message.get("body", message.get("body_base64"))
            if body is None:
                ui.label("The body of a finished message is not kept.").classes("soft")
            else:
                text = (
                    body if isinstance(body, str) else msgspec.json.format(msgspec.json.encode(body), indent=2).decode()
                )
                ui.code(text, language="json").classes("w-full")
            for name in ("content_type", "headers", "metadata", "expires_at", "retry"):
                if message.get(name):
                    ui.label(f"{name}: {msgspec.json.encode(message[name]).decode()}").classes("mono q-mt-xs")

    def _deliveries(self, message: dict[str, Any]) -> None:
        with ui.element("section").classes("panel"):
            ui.label("Targets").classes("title")
            columns = [{"name": c, "label": c, "field": c, "align": "left"} for c in COLUMNS]
            rows = [delivery_row(d) for d in message["deliveries"]]
            ui.table(rows=rows, columns=columns, row_key="target").props("flat dense wrap-cells").classes("w-full")

    # ---- changes

    async def _changed(self, done: str, method: str, path: str, body: Any = None, **headers: str) -> bool:
        with self.lasting:
            changed = await self.page.tried(done, method, path, body, **headers)
            if changed:
                await self._look()
        return changed

    async def _cancel(self) -> None:
        with self.lasting, ui.dialog() as dialog, ui.card():
            ui.label("Cancel this message? What was not handed over is never sent.")
            with ui.row():
                ui.button("Cancel the message", on_click=lambda: dialog.submit(True)).props("color=negative")
                ui.button("Keep it", on_click=lambda: dialog.submit(False)).props("flat")
        if await answer_of(dialog):
            await self._changed("Cancelled", "DELETE", path_of("messages", self.id))

    async def _send_now(self) -> None:
        await self._changed("Due now", "POST", path_of("messages", self.id, "/send-now"))

    async def _retry(self) -> None:
        await self._changed("It is tried again", "POST", path_of("dead-letters", self.id, "/retry"))

    async def _edit(self) -> None:
        seen = self.seen
        with self.lasting, ui.dialog() as dialog, ui.card().style("width: 560px; max-width: 94vw"):
            ui.label("Edit").classes("title")
            due = ui.input("Due at (RFC 3339 with offset)", value=seen["due_at"]).classes("w-full")
            raw = msgspec.json.encode(seen.get("body")).decode()
            body = ui.textarea("Body (JSON; a text in quotes)", value=raw).classes("w-full mono")
            fault = ui.label().classes("text-negative")

            async def save() -> None:
                try:
                    changes = changes_of(seen, due.value, body.value)
                except msgspec.DecodeError as error:
                    fault.set_text(f"The body is not JSON: {error}")
                    return
                revision = f'"{seen["revision"]}"'
                path = path_of("messages", self.id)
                if not changes or await self._changed("Changed", "PATCH", path, changes, If_Match=revision):
                    dialog.close()

            with ui.row():
                ui.button("Save", on_click=save)
                ui.button("Leave it", on_click=dialog.close).props("flat")
        await answer_of(dialog)


async def answer_of(dialog: ui.dialog) -> Any:
    """What a dialog was closed with; then it is gone, if it did not go with the page."""
    answer = await dialog
    if not dialog.is_deleted:
        dialog.delete()
    return answer


def changes_of(seen: dict[str, Any], due_at: str, body: str) -> dict[str, Any]:
    """What differs from the message as it was seen. Raises msgspec.DecodeError for a body that is no JSON."""
    changes: dict[str, Any] = {}
    if due_at != seen["due_at"]:
        changes["due_at"] = due_at
    new = msgspec.json.decode(body)
    if new != seen.get("body"):
        changes["body"] = new
    return changes


def delivery_row(d: dict[str, Any]) -> dict[str, Any]:
    """One line of the targets."""
    response = d.get("last_response") or {}
    said = " ".join(str(part) for part in (response.get("status"), response.get("body", "")[:200]) if part)
    late = d.get("late_ms")
    return {
        "target": d["target"],
        "channel": d["channel"],
        "to": d["to"],
        "state": d["state"],
        "due, or next try": local(d["due_at"]),
        "attempts": d["attempts"] if d.get("attempts_left") is None else f"{d['attempts']}, {d['attempts_left']} left",
        "first try late by": "-" if late is None else f"{late} ms",
        "answer": said or d["reason"] or "-",
    }
