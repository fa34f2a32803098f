"""`clepsydra dev` as a child, a receiver of ours, a headless Chromium. Skipped without Chromium and its driver."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from topology.embedded_process import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
READY_WITHIN_S = 120


class Dev:
    """What `clepsydra dev` gives: an API and a dashboard."""

    def __init__(self, directory: Path) -> None:
        self.port = pair_of_ports()
        self.url, self.dashboard = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.port + 1}"
        self.data = directory / "dev"
        self.log = (directory / "dev.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "dev", "--data", str(self.data), "--port", str(self.port)],
            stdout=self.log, stderr=self.log, env={**os.environ, "CLEPSYDRA_API_KEY": "browser-test-key-1234"},
        )  # fmt: skip
        self.key = "browser-test-key-1234"
        self.api = httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {self.key}"}, timeout=30)

    def ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while b"Clepsydra is up" not in Path(self.log.name).read_bytes():
            assert self.process.poll() is None, Path(self.log.name).read_text()
            assert time.monotonic() < deadline, Path(self.log.name).read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        self.api.close()
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()

    def send(self, **message: Any) -> None:
        answer = self.api.post("/v1/messages", json=message)
        assert answer.status_code in (200, 201), answer.text

    def send_all(self, messages: Iterable[dict[str, Any]]) -> None:
        """In one request: they are accepted long before they are due."""
        lines = "\n".join(json.dumps(message) for message in messages)
        headers = {"content-type": "application/x-ndjson"}
        answer = self.api.post("/v1/messages/bulk", content=lines, headers=headers)
        assert {json.loads(line)["result"] for line in answer.text.splitlines()} == {"accepted"}, answer.text

    def verdict(self) -> str:
        """What the head of the overview has to say of the last hour, by the API's counts; to be asked when none fail."""
        windows = self.api.get("/v1/windows").json()["windows"]
        attempted, on_time = (sum(w[name] for w in windows) for name in ("attempted", "on_time"))
        share = 100 * on_time / attempted
        return "On time" if share >= 99 else f"Late: {100 - share:.1f} % of this hour"


def pair_of_ports() -> int:
    """A free port whose next one is free too: the dashboard's."""
    for _ in range(100):
        port = free_port()
        if port < 65_000 and _is_free(port + 1):
            return port
    raise AssertionError("no two free ports side by side")


def _is_free(port: int) -> bool:
    import socket  # noqa: PLC0415

    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


class Receiver(ThreadingHTTPServer):
    """Answers with `status`, which a test changes."""

    status = 200
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Browser:
    """A window, with waiting for what is to be seen."""

    def __init__(self, dev: Dev, width: int, height: int, *, dark: bool = False) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--window-size={width},{height}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        self.dev = dev
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def open(self, path: str) -> None:
        self.driver.get(self.dev.dashboard + path)

    def log_in(self) -> None:
        self.open("/")
        field = self.find("input[type=password]")
        field.send_keys(self.dev.key, Keys.ENTER)
        self.sees("Messages by due minute")

    def find(self, css: str) -> WebElement:
        return self.until(lambda: self.driver.find_elements(By.CSS_SELECTOR, css), css)[0]

    def button(self, text: str, within_s: float = 30) -> WebElement:
        return self.until(lambda: self._buttons(text), text, within_s)[-1]

    def _buttons(self, text: str) -> list[WebElement]:
        found = self.driver.find_elements(By.XPATH, f"//button[.//span[contains(., '{text}')]]")
        return [button for button in found if button.is_displayed()]

    def open_by(self, text: str, opened: str) -> WebElement:
        """The button of the dialog that a button opens: clicked again, as people do, where a redrawing took the click."""
        for _ in range(9):
            self.button(text).click()
            with suppress(AssertionError):
                return self.button(opened, 3)
        return self.button(opened)

    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text

    def sees(self, text: str, within_s: float = 30) -> None:
        self.until(lambda: text in self.text(), text, within_s)

    def until(self, found: Any, what: str, within_s: float = 30) -> Any:
        """What is found, once it is something; the page's own redrawing is no fault."""
        deadline = time.monotonic() + within_s
        fault: Exception | None = None
        while time.monotonic() < deadline:
            try:
                if value := found():
                    return value
            except Exception as error:  # noqa: BLE001  an element that was drawn anew meanwhile
                fault = error
            time.sleep(0.05)
        raise AssertionError(f"{what!r} is not to be seen within {within_s} s ({fault!r}):\n{self.text()}")

    def errors(self) -> list[str]:
        """What the page's scripts complained of."""
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]


@pytest.fixture(scope="session", autouse=True)
def _needs_chromium() -> None:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    dev = Dev(tmp_path_factory.mktemp("dev"))
    try:
        dev.ready()
        yield dev
    finally:
        dev.stop()


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver
        receiver.shutdown()


@pytest.fixture
def open_browser(dev: Dev) -> Iterator[Any]:
    opened: list[Browser] = []

    def make(width: int = 1440, height: int = 1000, *, dark: bool = False) -> Browser:
        opened.append(Browser(dev, width, height, dark=dark))
        return opened[-1]

    yield make
    for browser in opened:
        browser.driver.quit()
