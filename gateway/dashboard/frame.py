"""What every page has: the head with its links, light and dark, and the place where faults are told."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from nicegui import ui

from gateway.dashboard.session import Page

LINKS = (
    ("Overview", "/", "timeline"),
    ("Messages", "/messages", "search"),
    ("Schedules", "/schedules", "event_repeat"),
    ("Dead letters", "/dead-letters", "report"),
    ("Flows", "/flows", "speed"),
)
STYLE = """
:root { --page: #f4f6f8; --card: #ffffff; --ink: #16202c; --soft: #55606f; --line: #dfe4ea; --accent: #0b6b62; }
.body--dark { --page: #10161d; --card: #18212b; --ink: #e8edf2; --soft: #a3b0be; --line: #2b3743; --accent: #5fd4c4; }
body, .q-page-container { background: var(--page); color: var(--ink); }
.nicegui-content { max-width: 1240px; margin: 0 auto; padding: 16px; gap: 16px; align-items: stretch; }
.head { background: var(--card); color: var(--ink); border-bottom: 1px solid var(--line); padding: 8px 16px; }
.head a { color: var(--ink); text-decoration: none; padding: 6px 10px; border-radius: 8px; display: inline-flex; gap: 6px;
  align-items: center; font-weight: 500; }
.head a:hover, .head a[aria-current="page"] { background: color-mix(in srgb, var(--accent) 14%, transparent); color: var(--accent); }
.head a:focus-visible, button:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.brand { font-weight: 700; letter-spacing: .02em; font-size: 1.05rem; }
.panel { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 16px; width: 100%; min-width: 0; }
.panel h2, .title { font-size: 1rem; font-weight: 650; line-height: 1.3; margin: 0; }
.soft { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; width: 100%; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 12px 16px; }
.tile .value { font-size: 1.65rem; font-weight: 680; font-variant-numeric: tabular-nums; line-height: 1.2; }
.verdict { border-left: 6px solid var(--mood); }
.good { --mood: #1a9a76; } .watch { --mood: #d9920a; } .bad { --mood: #d13c4b; }
.verdict .headline { font-size: 1.35rem; font-weight: 680; line-height: 1.25; }
.state { border-radius: 999px; padding: 2px 10px; font-weight: 600; font-size: .82rem; border: 1px solid currentColor; }
.mono { font-family: ui-monospace, SFMono-Regular, Menlo, monospace; font-size: .86rem; overflow-wrap: anywhere; }
.q-btn { text-transform: none; }
.q-btn.text-primary, .head .q-btn { color: var(--accent) !important; } .body--dark .text-negative { color: #ff9a94 !important; }
.q-timeline__title { font-size: 1rem; font-weight: 600; }
.q-table { color: var(--ink); } .q-table__card { background: transparent; box-shadow: none; color: var(--ink); }
.q-table th { color: var(--soft); font-weight: 600; } .q-table tbody td { font-variant-numeric: tabular-nums; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 16px; width: 100%; }
@media (max-width: 640px) { .head .text { display: none; } .nicegui-content { padding: 10px; gap: 12px; } .panel { padding: 12px; } }
"""
MOODS = {
    "delivered": "good",
    "partial": "watch",
    "retrying": "watch",
    "dead": "bad",
    "unknown": "bad",
    "expired": "bad",
}


@contextmanager
def page_frame(here: str, log_out: str = "/logout") -> Iterator[None]:
    """Head and style around a page's content."""
    ui.add_css(STYLE)
    ui.colors(primary="#0b6b62", positive="#147a5d", negative="#b3261e", warning="#8a5a00")
    dark = ui.dark_mode(None)
    with ui.header().classes("head").props("role=navigation"), ui.row().classes("items-center w-full no-wrap gap-1"):
        ui.icon("water_drop", size="sm").style("color: var(--accent)")
        ui.label("Clepsydra").classes("brand text q-mr-md")
        for text, path, icon in LINKS:
            link = ui.link(target=path).props(f'aria-label="{text}"')
            if path == here:
                link.props('aria-current="page"')
            with link:
                ui.icon(icon, size="xs")
                ui.label(text).classes("text")
        ui.space()
        ui.button(icon="contrast", on_click=lambda: dark.set_value(dark.value is not True)).props(
            'flat round dense aria-label="light or dark"'
        )
        ui.button(icon="logout", on_click=lambda: ui.navigate.to(log_out)).props(
            'flat round dense aria-label="log out"'
        )
    yield


def fault_line(page: Page) -> ui.label:
    """Tells the page's last fault, while there is one."""
    line = ui.label().classes("panel bad verdict").props("role=alert")
    line.bind_text_from(page, "fault")
    line.bind_visibility_from(page, "fault", backward=bool)
    return line


def state_badge(state: str) -> ui.label:
    """A state, with the colour of what it means."""
    return (
        ui.label(state)
        .classes(f"state {MOODS.get(state, 'soft')}")
        .style("color: var(--mood)" if state in MOODS else "")
    )


@asynccontextmanager
async def panel(title: str) -> AsyncIterator[ui.element]:
    """A titled card."""
    with ui.element("section").classes("panel") as made:
        ui.label(title).classes("title").props("role=heading aria-level=2")
        yield made
