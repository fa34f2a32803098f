"""The channel of docs/channels.md does what it says, in 30 lines."""

import re
import sys
from pathlib import Path

import pytest

import agents.channels
from agents.channels import scan
from agents.channels.settings import ChannelSettings
from schemas.outcomes import Delivered, Rejected

PAGE = Path(__file__).parents[2] / "docs" / "channels.md"


@pytest.fixture
def example(tmp_path, monkeypatch):
    [code] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    (tmp_path / "spool.py").write_text(code)
    monkeypatch.setattr(agents.channels, "__path__", [*agents.channels.__path__, str(tmp_path)])
    yield scan().found["spool"]
    sys.modules.pop("agents.channels.spool", None)


async def test_it_is_found_and_writes_each_message_once(example, tmp_path, monkeypatch, clock, due):
    folder = tmp_path / "out"
    folder.mkdir()
    monkeypatch.setenv("SPOOL", str(folder))
    channel = example(ChannelSettings(), clock)
    await channel.start()
    for _ in range(2):
        assert await channel.send(due(key="post-1/0")) == Delivered()
    assert [(f.name, f.read_bytes()) for f in folder.iterdir()] == [("post-1%2F0", b'{"text":"hi"}')]
    monkeypatch.setenv("SPOOL", str(tmp_path / "nowhere"))
    assert isinstance(await example(ChannelSettings(), clock).send(due()), Rejected)
    await channel.stop()
