"""The addresses of the dashboard, in the order of its menu."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from fastapi import Request
from nicegui import app, ui

from agents.ports import Clock
from gateway.dashboard.dead_letters import DeadLettersPage
from gateway.dashboard.flows import FlowsPage
from gateway.dashboard.login import login_form
from gateway.dashboard.message import MessagePage
from gateway.dashboard.overview import Overview
from gateway.dashboard.schedules import SchedulesPage
from gateway.dashboard.search import SearchPage
from gateway.dashboard.session import Page, Sessions

Build = Callable[[Page, Request], Awaitable[None]]


def add_pages(sessions: Sessions, clock: Clock) -> None:
    """Makes all pages known to NiceGUI."""
    _add(sessions, "/", "Clepsydra", lambda page, _: Overview(page, clock).build())
    _add(sessions, "/messages", "Messages", lambda page, r: SearchPage(page, dict(r.query_params)).build())
    _add(sessions, "/message/{name:path}", "Message", lambda page, r: MessagePage(page, r.path_params["name"]).build())
    _add(sessions, "/schedules", "Schedules", lambda page, _: SchedulesPage(page).build())
    _add(sessions, "/dead-letters", "Dead letters", lambda page, _: DeadLettersPage(page).build())
    _add(sessions, "/flows", "Flows", lambda page, _: FlowsPage(page).build())

    @ui.page("/login", title="Clepsydra")
    async def login(then: str = "/") -> None:
        login_form(sessions, then if then.startswith("/") and not then.startswith("//") else "/")

    @ui.page("/logout")
    async def logout() -> None:
        sessions.log_out(app.storage.browser.get("id", ""))
        ui.navigate.to("/login")


def _add(sessions: Sessions, path: str, title: str, build: Build) -> None:
    """A page for those who are logged in; others log in first and then come to it."""

    async def show(request: Request) -> None:
        page = sessions.page()
        if page is not None:
            await build(page, request)
        else:
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            ui.navigate.to(f"/login?then={quote(here, safe='')}")

    ui.page(path, title=title)(show)
