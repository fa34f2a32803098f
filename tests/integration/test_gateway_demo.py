"""The demo as users run it: all real processes, a small spike."""

import json
import subprocess
import sys
from pathlib import Path


def test_the_demo_delivers_every_message_exactly_once_and_none_early(tmp_path: Path):
    file = tmp_path / "result.json"
    command = [sys.executable, "-m", "gateway.cli", "demo", "--messages", "300", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(file.read_text())
    counts = {name: result[name] for name in ("messages", "received", "duplicates", "early", "lost")}
    assert counts == {"messages": 300, "received": 300, "duplicates": 0, "early": 0, "lost": 0}
    assert set(result) - set(counts) == {"repeats_dropped", "lateness_ms", "seconds"}
    assert 0 <= result["lateness_ms"]["p50"] <= result["lateness_ms"]["p99"] <= result["lateness_ms"]["max"]
