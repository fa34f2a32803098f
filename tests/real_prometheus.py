"""A real Prometheus with the rules of deploy/, scraping real workers; `for` is shortened, no threshold is touched."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
from system import until
from system_process import Worker

from topology.embedded_process import free_port

RULES = Path(__file__).parents[1] / "deploy" / "prometheus" / "alerts.yml"
PROGRAM = shutil.which("prometheus")
CONFIG = """
global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}
rule_files: [alerts.yml]
scrape_configs:
  - job_name: clepsydra
    static_configs: [{{targets: [{targets}]}}]
"""


class Prometheus:
    """Runs from `start` to `close`."""

    def __init__(self, directory: Path, ports: Iterable[int]) -> None:
        """`ports`: where workers serve /metrics on 127.0.0.1."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        targets = ", ".join(f"'127.0.0.1:{each}'" for each in ports)
        directory.mkdir()
        (directory / "prometheus.yml").write_text(CONFIG.format(targets=targets))
        (directory / "alerts.yml").write_text(re.sub(r"\bfor: \w+", "for: 1s", RULES.read_text()))
        command = [
            str(PROGRAM), f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ]  # fmt: skip
        self.process = Worker(command, {}, directory, "prometheus")

    async def start(self) -> None:
        """Until it has scraped every target."""
        self.process.start()
        await until(self._scraped, 30, self.process.text)

    def close(self) -> None:
        """End it."""
        self.process.close()

    async def ask(self, what: str, **query: str) -> Any:
        """`data` of an answer of its HTTP API; None while it does not answer or is not ready (503, in plain text)."""
        try:
            async with httpx.AsyncClient(base_url=self.url) as http:
                answer = await http.get(f"/api/v1/{what}", params=query)
        except httpx.TransportError:
            return None
        return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer.json().get("data")

    async def _scraped(self) -> bool:
        found = await self.ask("targets")
        return bool(found) and {target["health"] for target in found["activeTargets"]} == {"up"}

    async def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        found = await self.ask("alerts")
        assert found is not None, self.process.text()
        return {alert["labels"]["alertname"] for alert in found["alerts"] if alert["state"] == "firing"}

    async def fires(self, name: str, within_s: float = 15) -> None:
        """Returns when an alert fires."""
        seen: set[str] = set()

        async def found() -> bool:
            nonlocal seen
            seen = await self.firing()
            return name in seen

        await until(found, within_s, lambda: f"{name}; what fires: {seen}")
