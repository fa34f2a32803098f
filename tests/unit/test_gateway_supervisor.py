"""Child processes: restarted when they die, stopped in order, gone with their parent."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.supervisor import ChildSpec, Supervisor, ended

LIVES = "import signal, sys; print('up', flush=True); signal.pause()"
PARENT = """
import asyncio, sys
from pathlib import Path
from gateway.supervisor import ChildSpec, Supervisor

async def main():
    child = await Supervisor(Path(sys.argv[1]), print).start(ChildSpec(name="c", arguments=["lives"], environment={}))
    print(child.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  a process tells nobody
            await asyncio.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], ChildSpec]:
    def make(name: str, code: str) -> ChildSpec:
        (tmp_path / f"{name}_module.py").write_text(code)
        return ChildSpec(
            name=name, arguments=[f"{name}_module"], environment={"PYTHONPATH": str(tmp_path)}, grace_s=0.5
        )

    return make


async def test_a_child_that_dies_is_started_again_and_told(tmp_path: Path, spec: Callable[[str, str], ChildSpec]):
    told: list[str] = []
    supervisor = Supervisor(tmp_path / "logs", told.append, pauses_s=(0.01,))
    child = await supervisor.start(spec("a", LIVES.replace("up", "last words")))
    await until(lambda: child.log.read_text() == "last words\n")
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.restarts == 1 and child.pid not in (None, first))
    assert told == [f"a ended (SIGKILL), again in 0.01 s; {child.log}: last words"]
    await supervisor.stop()
    assert child.pid is None


async def test_children_are_stopped_last_first(tmp_path: Path, spec: Callable[[str, str], ChildSpec]):
    order = tmp_path / "order"
    code = f"""
import signal, sys
def end(*_):
    open({str(order)!r}, "a").write(__file__[-11])
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
while True:
    signal.pause()
"""
    supervisor = Supervisor(tmp_path / "logs", print)
    children = [await supervisor.start(spec(name, code)) for name in "abc"]
    await until(lambda: all(child.log.read_text() == "up\n" for child in children))
    await supervisor.stop()
    assert order.read_text() == "cba"


async def test_one_that_does_not_stop_is_killed(tmp_path: Path, spec: Callable[[str, str], ChildSpec]):
    told: list[str] = []
    supervisor = Supervisor(tmp_path / "logs", told.append)
    code = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile 1: signal.pause()"
    )
    child = await supervisor.start(spec("a", code))
    await until(lambda: child.log.read_text() == "up\n")
    await supervisor.stop()
    assert told == ["a did not stop within 0.5 s and is killed"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does it")
async def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path):
    (tmp_path / "lives.py").write_text(LIVES)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    with subprocess.Popen(  # noqa: ASYNC220  it is killed, not waited for
        [sys.executable, "-c", PARENT, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    await until(lambda: gone(pid))


def test_an_end_is_told_in_words():
    assert [ended(0), ended(3), ended(-9)] == ["exit 0", "exit 3", "SIGKILL"]
