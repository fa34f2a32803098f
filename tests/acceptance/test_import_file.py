"""Files imported by the command, killed and stopped in their midst, into a real system: each line exactly once.

CLEPSYDRA_TEST_IMPORT=100000 imports so many lines of each kind; the default is what a test may take.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from system import System, new_id, until
from system_gateway import start_gateway
from system_process import Worker

pytestmark = pytest.mark.asyncio(loop_scope="module")
COUNT = int(os.environ.get("CLEPSYDRA_TEST_IMPORT", "12000"))
DUE = "2100-01-01T08:00:00+01:00"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(shared: System):
    return await start_gateway(shared)


def importing(system: System, address: dict[str, str], file: Path, *more: str) -> Worker:
    command = [sys.executable, "-m", "gateway.cli", "import", str(file), "--json", *more]
    return system.keep(system.worker("scheduler", "import", command, **address))


def ndjson(path: Path, name: str) -> None:
    """Every other line has no id."""
    with path.open("w") as out:
        for number in range(COUNT):
            named = {"id": f"{name}-{number}"} if number % 2 else {}
            out.write(json.dumps(named | {"due_at": DUE, "channel": "log", "account": name, "body": "x" * 200}) + "\n")


def csv(path: Path, name: str) -> None:
    with path.open("w") as out:
        out.write("id,due_at,channel,account,body,tags,metadata.row\n")
        for number in range(COUNT):
            id_ = f"{name}-{number}" if number % 2 else ""
            out.write(f'{id_},{DUE},log,{name},"two\nlines, {"x" * 200}",a;b,{number}\n')


async def made(system: System, account: str) -> Counter[str]:
    """How many messages of each id an account has, by the log: an event told again has the same `event_id`."""
    events = (msgspec.json.decode(record.value) for record in await system.read(system.names.events))
    mine = [e for e in events if e["kind"] == "scheduled" and e["message"].get("account") == account]
    return Counter(message_id for message_id, _ in {(event["id"], event["event_id"]) for event in mine})


def names_in(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


async def interrupted(process: Worker, journal: Path, number: signal.Signals) -> int:
    """Its exit code, when it was told to end as soon as something was settled."""
    await until(lambda: journal.exists() or not process.running, tell=process.text)
    assert process.running, process.text()
    os.kill(process.pid, number)
    return await process.ended()


def summary(process: Worker) -> dict:
    return json.loads(next(line for line in process.text().splitlines() if line.startswith("{")))


@pytest.mark.parametrize(("ending", "write"), [("ndjson", ndjson), ("csv", csv)])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_interrupted_and_run_again_each_line_is_one_message(
    shared: System, address, tmp_path: Path, ending: str, write, number: signal.Signals
):
    name, file = new_id(ending), tmp_path / f"posts.{ending}"
    write(file, name)
    journal = tmp_path / f"posts.{ending}.import"
    first = importing(shared, address, file)
    assert await interrupted(first, journal, number) == (130 if number is signal.SIGINT else -number)
    assert ("the same command goes on" in first.text()) is (number is signal.SIGINT)
    second = importing(shared, address, file)
    assert await second.ended(300) == 0, second.text()
    found = summary(second)
    assert (found["lines"], found["accepted"] + found["repeated"], found["refused"]) == (COUNT, COUNT, 0)
    assert found["resumed_after"] > 0
    counted = await made(shared, name)
    assert len(counted) == sum(counted.values()) == COUNT
    assert names_in(tmp_path) == [file.name]


async def test_refused_lines_are_kept_with_the_reason_and_can_be_mended(shared: System, address, tmp_path: Path):
    name, file = new_id("mended"), tmp_path / "posts.csv"
    rows = [f"{name}-{n},{DUE},{'log' if n != 5 else 'pigeon'},{'x' if n == 7 else 5}" for n in range(20)]
    file.write_text("id,due_at,channel,priority\n" + "\n".join(rows))
    process = importing(shared, address, file)
    assert await process.ended() == 1
    refused = tmp_path / "posts.csv.refused.ndjson"
    assert summary(process) | {"seconds": 0, "per_second": 0} == {
        "file": str(file), "lines": 20, "accepted": 18, "repeated": 0, "refused": 2, "refused_file": str(refused),
        "resumed_after": 0, "seconds": 0, "per_second": 0, "dry_run": False,
    }  # fmt: skip
    lines = [json.loads(line) for line in refused.read_text().splitlines()]
    assert [(line["line"], line["problem"]["errors"][0]["field"]) for line in lines] == [
        (7, "channel"),
        (9, "priority"),
    ]
    mended = tmp_path / "mended.ndjson"
    mended.write_text(json.dumps(lines[0]["given"] | {"channel": "log"}))
    assert await importing(shared, address, mended).ended() == 0
    assert (await shared.look(f"{name}-5")).state == "scheduled"


async def test_standard_input_makes_nothing_twice_either(shared: System, address, tmp_path: Path):
    name = new_id("stdin")
    lines = "".join(json.dumps({"due_at": DUE, "channel": "log", "account": name, "body": n}) + "\n" for n in range(50))
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", "import", "-", "--json",
            env=os.environ | address, cwd=tmp_path, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate(lines.encode())
        assert (process.returncode, json.loads(out)["lines"]) == (0, 50)
    assert json.loads(out)["repeated"] == 50
    assert set((await made(shared, name)).values()) == {1}
