"""The way in: an API key, tried at the API."""

from nicegui import app, ui

from gateway.dashboard.api import ClepsydraError
from gateway.dashboard.frame import STYLE
from gateway.dashboard.session import Sessions


def login_form(sessions: Sessions, then: str) -> None:
    """Asks for a key; goes on to `then` once the API has taken it."""
    ui.add_css(STYLE)
    ui.colors(primary="#0b6b62", negative="#b3261e")
    ui.dark_mode(None)
    browser = app.storage.browser["id"]

    async def log_in() -> None:
        try:
            await sessions.log_in(browser, key.value.strip())
        except ClepsydraError as fault:
            told.set_text(str(fault))
        except (UnicodeError, ValueError):
            told.set_text("That is no API key: paste it as it was shown")
        else:
            ui.navigate.to(then)

    with ui.element("main").classes("panel").style("max-width: 440px; margin: 12vh auto 0"):
        with ui.row().classes("items-center gap-2"):
            ui.icon("water_drop", size="md").style("color: var(--accent)")
            ui.label("Clepsydra").classes("brand").style("font-size: 1.4rem")
        ui.label(f"The API at {sessions.url}").classes("soft q-mb-sm")
        key = ui.input("API key", password=True, password_toggle_button=True).classes("w-full")
        key.props('autofocus autocomplete="current-password"').on("keydown.enter", log_in)
        told = ui.label().classes("text-negative").props("role=alert")
        ui.button("Log in", on_click=log_in).classes("w-full q-mt-sm")
        ui.label("`clepsydra dev` prints its key; `clepsydra keys add` makes one.").classes("soft q-mt-sm")
