"""The command line as a user meets it: no servers needed."""

import json
import subprocess
import sys

import pytest
from aiokafka import ConsumerRecord
from msgspec import Raw
from typer.testing import CliRunner

from gateway.cli import app
from gateway.client import reason
from gateway.tail import Line, belongs, lines

SCHEDULE_ACTS = (*("add", "edit", "list", "show", "pause", "resume", "preview", "trigger", "backfill", "remove"),)
COMMANDS = (
    ["send", "show", "edit", "cancel", "import", "export", "dev", "demo", "worker", "gateway", "doctor", "topics"],
    ["topics create", "topics check", "topics tail", "topics schema", *(f"schedules {act}" for act in SCHEDULE_ACTS)],
    ["flows set", "flows list", "flows pause", "flows resume", "flows remove", "channels"],
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    for name in ("BROKERS", "URL", "API_KEY", "PREFIX", "PARTITIONS"):
        monkeypatch.delenv(f"CLEPSYDRA_{name}", raising=False)

    def cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        command = [sys.executable, "-m", "gateway.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    return cli


@pytest.mark.parametrize("command", [command for some in COMMANDS for command in some])
def test_every_command_has_help_with_an_example(command: str):
    shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "120", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    assert f"clepsydra {command}" in shown.output or command == "topics"


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["send", "--in", "5s"], {}, "no API key"),
        (["send"], {"CLEPSYDRA_API_KEY": "k"}, "no due time"),
        (["send", "--in", "1s", "--at", "x"], {"CLEPSYDRA_API_KEY": "k"}, "exclude each other"),
        (["show", "x", "--url", "http://127.0.0.1:1"], {"CLEPSYDRA_API_KEY": "k"}, "connection refused"),
        (["edit", "x"], {"CLEPSYDRA_API_KEY": "k"}, "nothing to change"),
        (["gateway"], {"CLEPSYDRA_BROKERS": "127.0.0.1:1", "CLEPSYDRA_PORT": "0"}, "127.0.0.1:1 cannot be reached"),
        (["keys", "add", "x", "--url", "http://127.0.0.1:1"], {"CLEPSYDRA_API_KEY": "k"}, "connection refused"),
        (["keys", "revoke", "x"], {}, "no API key"),
        (["topics", "check", "--brokers", "127.0.0.1:1"], {}, "no Kafka broker answers"),
        (["topics", "create"], {"CLEPSYDRA_PARTITIONS": "0"}, "CLEPSYDRA_PARTITIONS"),
    ],
)
def test_errors_are_told_without_a_traceback(run, arguments: list[str], environment: dict[str, str], said: str):
    done = run(*arguments, **environment)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_topic_commands_can_be_printed_without_a_broker(run):
    done = run("topics", "create", "--print", "--brokers", "127.0.0.1:1", "--prefix", "x.")
    assert done.returncode == 0
    assert "--topic x.commands --partitions 4" in done.stdout


def test_doctor_gives_each_check_a_verdict_and_a_remedy(run):
    done = run("doctor", "--json", "--url", "http://127.0.0.1:1", CLEPSYDRA_BROKERS="127.0.0.1:1")
    found = {each["check"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 1
    assert [found[check]["verdict"] for check in ("python", "settings", "kafka", "gateway")] == [
        "ok", "ok", "wrong", "wrong"
    ]  # fmt: skip
    assert all(each["remedy"] for each in found.values() if each["verdict"] == "wrong")


def record(key: bytes | None, value: bytes | None) -> ConsumerRecord:
    return ConsumerRecord("t", 1, 7, 0, 0, key, value, None, 0, 0, ())


def line(value: bytes, key: str | None = None) -> Line:
    return Line(partition=1, offset=7, at="1970-01-01T00:00:00.000Z", key=key, value=Raw(value))


def test_packs_are_opened_and_what_is_no_json_is_a_string():
    assert list(lines(record(b"k", b'[{"a": 1}, {"b":2}]'))) == [line(b'{"a":1}', "k"), line(b'{"b":2}', "k")]
    assert list(lines(record(None, None))) == [line(b"null")]
    assert list(lines(record(None, b"what?"))) == [line(b'"what?"')]


@pytest.mark.parametrize(
    ("value", "key", "mine"),
    [
        (b'{"id":"m"}', None, True),
        (b'{"message":{"id":"m"}}', None, True),
        (b'{"kind":"outcome","key":"m/3"}', "m/3!1!1", True),
        (b"null", "m", True),
        (b"null", "n", False),
        (b'{"id":"mm"}', "mm", False),
        (b'"text"', None, False),
    ],
)
def test_elements_of_one_message_are_found(value: bytes, key: str | None, mine: bool):
    assert belongs(line(value, key), "m") is mine


def test_a_refused_connection_is_told_in_two_words():
    assert reason(ConnectionRefusedError(111, "Connect call failed")) == "connection refused"
    assert reason(TimeoutError()) == "TimeoutError"
