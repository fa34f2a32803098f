"""Who is logged in: API keys by browser session, in memory alone; a restart of the dashboard asks for them again."""

from typing import Any

from nicegui import app, ui

from agents.ports import Clock
from gateway.dashboard.api import Api, ClepsydraError, address


class Sessions:
    """Those who are logged in, by what their browser's signed cookie says; who has the same key shares its answers."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.url, self._clock = url, clock
        self._apis: dict[str, Api] = {}
        self._keys: dict[str, str] = {}

    def page(self) -> "Page | None":
        """The API for the page that is being built; None: nobody is logged in."""
        key = self._keys.get(app.storage.browser.get("id", ""))
        return None if key is None else Page(self._apis[key])

    async def log_in(self, browser: str, key: str) -> None:
        """Remember the key for a browser. Raises ClepsydraError for one that the API does not take."""
        api = self._apis.get(key) or Api(self.url, key, self._clock)
        await api.call("GET", address("/v1/windows"))
        self._apis[key] = api
        self._keys[browser] = key

    def log_out(self, browser: str) -> None:
        """Forget a browser's key."""
        self._keys.pop(browser, None)

    async def stop(self) -> None:
        """Close all connections."""
        for api in self._apis.values():
            await api.stop()


class Page:
    """The API for whoever looks at one page; failures are shown, not raised."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.fault = ""

    async def look(self, path: str, **query: str | int | None) -> Any:
        """What the API says, shared for a second by all who ask; None: it does not, and `fault` says why."""
        try:
            found = await self._api.shared(address(path, **query))
        except ClepsydraError as fault:
            self.fault = str(fault)
            return None
        self.fault = ""
        return found

    async def read(self, path: str) -> Any:
        """What the API says at this moment. Raises ClepsydraError."""
        return await self._api.call("GET", path)

    async def tried(self, done: str, method: str, path: str, body: Any = None, **headers: str) -> bool:
        """Ask for a change and tell the person how it went; True when it was made."""
        try:
            await self._api.call(method, path, body, **headers)
        except ClepsydraError as fault:
            ui.notify(str(fault), type="negative", multi_line=True, close_button="OK", timeout=0)
            return False
        ui.notify(done, type="positive")
        return True
