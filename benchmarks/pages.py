"""Open pages of the dashboard, as browsers keep them: logged in, loaded, each with its websocket; no browser's own CPU."""

import ast
import asyncio
import html
import re
import time
from typing import Any, Self
from urllib.parse import urlencode

import httpx
import msgspec
import socketio

ELEMENTS = re.compile(r"parseElements\(String\.raw`(.*?)`\), \{.*?query: (\{.*?\}),\n", re.DOTALL)
LOG_IN_WITHIN_S = 10
AGAIN_S = 0.05


class Page:
    """One page of one browser: how long it took to come, and when each of its live updates arrived."""

    def __init__(self, url: str, browser: httpx.AsyncClient) -> None:
        self._url, self._browser = url, browser
        self._socket = socketio.AsyncClient(reconnection=False)
        self._socket.on("update", self._updated)
        self.updates: list[float] = []
        self.elements: dict[str, Any] = {}
        self.query: dict[str, Any] = {}

    async def load(self, path: str = "/") -> float:
        """Seconds until the whole page is there."""
        began = time.perf_counter()
        answer = await self._browser.get(self._url + path, follow_redirects=True)
        answer.raise_for_status()
        took = time.perf_counter() - began
        found = ELEMENTS.search(answer.text)
        assert found is not None, answer.text[:500]
        self.elements = msgspec.json.decode(html.unescape(found[1]))
        self.query = ast.literal_eval(found[2])
        return took

    async def open(self) -> None:
        """Connect its websocket: from here on it is kept up to date."""
        ids = {name: f"{self.query['client_id']}-{name}" for name in ("tab_id", "document_id")}
        query = urlencode({k: str(v).lower() if isinstance(v, bool) else v for k, v in (self.query | ids).items()})
        cookie = "; ".join(f"{name}={value}" for name, value in self._browser.cookies.items())
        await self._socket.connect(
            f"{self._url}/?{query}",
            {"Cookie": cookie},
            transports=["websocket"],
            socketio_path="/_nicegui_ws/socket.io",
        )

    async def close(self) -> None:
        """As when a person closes it."""
        await self._socket.disconnect()

    async def act(self, element: str, event: str, *arguments: Any) -> None:
        """What a person does to an element of this kind, to the first of that kind that listens to it."""
        number, listener = next(
            (int(number), listener["listener_id"])
            for number, found in self.elements.items()
            for listener in found.get("events", ())
            if (found["tag"], listener["type"]) == (element, event)
        )
        said = [msgspec.json.encode(argument).decode() for argument in arguments]
        given = {"id": number, "client_id": self.query["client_id"], "listener_id": listener, "args": said}
        await self._socket.emit("event", given)

    async def _updated(self, _: Any) -> None:
        self.updates.append(time.time())


class Browser:
    """Somebody who is logged in and has pages open."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._http = httpx.AsyncClient(timeout=30)
        self.pages: list[Page] = []

    async def __aenter__(self) -> Self:
        """Log in, by the page's own form."""
        page = Page(self._url, self._http)
        await page.load("/login")
        await page.open()
        await page.act("nicegui-input", "update:value", self._key)
        await page.act("q-btn", "click", {})
        async with asyncio.timeout(LOG_IN_WITHIN_S):
            while not await self._is_in():  # noqa: ASYNC110 - the page tells it no other way
                await asyncio.sleep(AGAIN_S)
        await page.close()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
        await self._http.aclose()

    async def _is_in(self) -> bool:
        return "Messages by due minute" in (await self._http.get(self._url, follow_redirects=True)).text

    async def open(self, count: int) -> None:
        """So many overviews more."""
        for _ in range(count):
            page = Page(self._url, self._http)
            await page.load()
            await page.open()
            self.pages.append(page)

    async def look(self) -> float:
        """Load the overview once; seconds."""
        return await Page(self._url, self._http).load()

    async def close(self) -> None:
        """All pages."""
        pages, self.pages = self.pages, []
        await asyncio.gather(*(page.close() for page in pages))
