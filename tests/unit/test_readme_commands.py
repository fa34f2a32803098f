"""What the documents tell people to type exists."""

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import FakeClock, FakeSettingsTable
from typer import BadParameter
from typer.main import get_command

from gateway.api import create_api
from gateway.cli import app
from gateway.parts import Parts
from schemas.wire import Fault, read_commands
from topology.settings import ENV_PREFIX, Settings, load_settings

UsageError = BadParameter.__base__
ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/kafka.md", "docs/operations.md")
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def lines(document: str) -> list[str]:
    """Each line of each code block, continued ones joined."""
    blocks = BLOCK.findall((ROOT / document).read_text())
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def inline(document: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", BLOCK.sub("", (ROOT / document).read_text()))


OURS = re.compile(r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?clepsydra ")
TYPED = [line[m.end() :] for d in DOCUMENTS for line in lines(d) if (m := OURS.match(line))]
NAMED = [line[m.end() :] for d in DOCUMENTS for line in inline(d) if (m := OURS.match(line))]
"""A command in a sentence may leave out what it needs."""


def command_of(arguments: list[str]):
    """The command that a line names, its context, and the arguments that are its own."""
    command, name = get_command(app), "clepsydra"
    context = command.make_context(name, ["--help"], resilient_parsing=True)
    while hasattr(command, "resolve_command"):
        name, command, arguments = command.resolve_command(context, arguments)
        assert command is not None, f"there is no command {name}"
    return command, context, arguments


@pytest.mark.parametrize("line", TYPED)
def test_every_command_line_can_be_parsed(line):
    command, context, arguments = command_of(shlex.split(re.split(r" [|>] ", line)[0], comments=True))
    command.make_context(command.name, arguments, parent=context)


@pytest.mark.parametrize("line", NAMED)
def test_every_command_in_a_sentence_exists(line):
    command, context, arguments = command_of(shlex.split(line))
    assert not arguments or command.make_context(command.name, arguments, parent=context)


@pytest.mark.parametrize("line", ["send --bogus", "topics tail events --nope", "show", "schedules forget x"])
def test_a_line_that_fails_would_be_found(line):
    with pytest.raises((UsageError, AssertionError)):
        test_every_command_line_can_be_parsed(line)


def test_the_readme_begins_with_the_two_commands_that_work_from_a_fresh_clone():
    assert BLOCK.findall((ROOT / "README.md").read_text())[0] == "make demo\nmake test\n"


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = [line.split()[1] for line in [*lines(document), *inline(document)] if line.startswith("make ")]
        assert set(named) <= targets


def test_every_request_of_the_readme_has_a_route():
    settings = load_settings(api_key="k" * 16)
    commander = SimpleNamespace(waiting=0, ready=True)
    api = create_api(
        Parts(settings, FakeClock(), commander, FakeSettingsTable(), windows=None, archive=None, event_ends=None)
    )
    known = {(method.upper(), path) for path, methods in api.openapi()["paths"].items() for method in methods}
    text = (ROOT / "README.md").read_text()
    for call in re.findall(r"curl -sS (.*?)(?:\n\n|```)", text, re.DOTALL):
        method = re.search(r"-X (\w+)", call)
        verb = method[1] if method else "POST" if " -d " in call else "GET"
        path = re.search(r"\$API/(\S+)", call)[1].replace("post-4711", "{message_id}")
        assert (verb, f"/v1/{path}") in known


@pytest.mark.parametrize("document", ["README.md", "docs/kafka.md"])
def test_the_commands_for_kafka_can_be_read(document):
    values = [line for line in lines(document) if line.startswith('{"kind"')]
    assert len(values) >= 3
    assert not [c for v in values for c in read_commands(v.encode()) if isinstance(c, Fault)]


def test_the_readme_lists_the_settings_that_there_are():
    listed = re.findall(rf"^\| `{ENV_PREFIX}(\w+)`", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(name.lower() for name in listed) == sorted(Settings.model_fields)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert ((ROOT / document).parent / target).exists()
