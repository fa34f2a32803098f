"""What an export writes of a page, and that a file is there only once it is whole."""

import json
from pathlib import Path

import msgspec
import pytest
from builders import NOON, POLICY
from typer.testing import CliRunner

from gateway.cli import app
from gateway.cli_export import Exported, Page, _lines, _out
from gateway.import_check import checking
from gateway.import_tape import Entry

LISTED = {
    "id": "a", "state": "scheduled", "due_at": "2100-01-01T00:00:00Z", "revision": 3, "created_at": "2026-01-01T00:00:00Z",
    "channel": "log", "body": [1.50, 10**30], "tags": ["t"], "finished_at": None, "erased": False,
}  # fmt: skip


def lines_of(*messages: dict | str) -> tuple[list[bytes], Exported]:
    done = Exported(file="-")
    texts = [each if isinstance(each, str) else json.dumps(each) for each in messages]
    page = msgspec.json.decode('{"messages":[' + ",".join(texts) + '],"cursor":"c"}', type=Page)
    return list(_lines(page, done)), done


def test_what_makes_a_message_is_kept_as_it_came_and_what_became_of_it_left_out():
    (line,), done = lines_of(json.dumps(LISTED).replace("1.5,", "1.50,"))
    assert line == (
        b'{"id":"a","due_at":"2100-01-01T00:00:00Z","channel":"log",'
        b'"body":[1.50, 1000000000000000000000000000000],"tags":["t"]}\n'
    )
    assert (done.messages, done.left_out, done.without_body) == (1, 0, 0)


def test_what_clepsydra_made_itself_is_left_out_and_missing_bodies_are_counted():
    lines, done = lines_of(LISTED | {"id": "s@2100"}, LISTED | {"id": "a!finished"}, {**LISTED, "id": "b"})
    assert [json.loads(line)["id"] for line in lines] == ["b"]
    assert (done.messages, done.left_out) == (1, 2)
    without = {name: value for name, value in LISTED.items() if name != "body"}
    assert lines_of(without)[1].without_body == 1


async def test_an_import_takes_it():
    (line,), _ = lines_of(LISTED)
    (told,) = await checking(NOON, POLICY)([Entry(1, line)])
    assert told.problem is None


def test_a_file_is_there_only_once_it_is_whole(tmp_path: Path):
    path = tmp_path / "x.ndjson"
    with pytest.raises(TypeError), _out(str(path)) as out:
        out.writelines([b"half", None])
    assert list(tmp_path.iterdir()) == []
    with _out(str(path)) as out:
        out.write(b"whole")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_summary_needs_a_file():
    assert "give a FILE" in str(CliRunner().invoke(app, ["export", "--json", "--api-key", "k"]).exception)
