"""Importing a file: what is read of it, what an interruption leaves, and that no line is lost or sent as two messages."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from builders import NOON, POLICY
from typer.testing import CliRunner

from gateway import import_run
from gateway.cli import app
from gateway.errors import UserError
from gateway.import_check import checking
from gateway.import_csv import csv_entries
from gateway.import_journal import Counts, Journal
from gateway.import_lines import ndjson_entries
from gateway.import_run import Import, Refusals, Told
from gateway.import_source import Format, Source
from gateway.import_tape import Entry, Tape
from gateway.problems import invalid
from schemas.wire import Fault

DUE = "2100-01-01T08:00:00Z"
HEADER = "id,due_at,channel,body\n"


def lines_of(text: str | bytes) -> list[Entry]:
    return list(ndjson_entries(Tape(io.BytesIO(text.encode() if isinstance(text, str) else text))))


def rows_of(text: str | bytes) -> list[Entry]:
    return list(csv_entries(Tape(io.BytesIO(text.encode() if isinstance(text, str) else text))))


def ids(entries: Sequence[Entry]) -> list[str]:
    return [json.loads(entry.text)["id"] for entry in entries]


def faults(entries: Sequence[Entry]) -> list[tuple[int, str, str]]:
    return [(e.number, e.problem.errors[0].field, e.problem.errors[0].problem) for e in entries if e.problem]


# ---- NDJSON


def test_lines_go_out_as_they_are_and_blank_ones_not_at_all():
    found = lines_of('\ufeff{"id": "a",  "x":1}\r\n\n  \n{"id":"b"}')
    assert [(entry.number, entry.text) for entry in found] == [(1, b'{"id": "a",  "x":1}'), (4, b'{"id":"b"}')]


@pytest.mark.parametrize("line", ["{nonsense", "[1]", "7", '{"id": "a"', b"\xff\xfe"])
def test_what_is_no_object_goes_out_too_for_the_gateway_to_refuse(line):
    assert lines_of(line)[0].text == (line if isinstance(line, bytes) else line.encode())


def test_a_line_without_id_gets_one_of_its_place_in_the_file():
    first, second, empty = lines_of('{"body":1}\n{ "body":1}\n{}')
    assert json.loads(first.text) == {"id": ids([first])[0], "body": 1}
    assert json.loads(empty.text) == {"id": ids([empty])[0]}
    assert len(set(ids([first, second, empty]))) == 3


def test_ids_are_the_same_each_time_and_in_a_file_that_has_grown_and_others_behind_a_change():
    text = '{"body":1}\n{"body":1}\n'
    assert ids(lines_of(text)) == ids(lines_of(text)) == ids(lines_of(text + '{"body":2}\n'))[:2]
    changed = ids(lines_of(text.replace("1", "3", 1)))
    assert not set(changed) & set(ids(lines_of(text)))


# ---- CSV


def test_columns_become_fields_and_empty_cells_nothing():
    text = (
        "id,due_at,channel,to,body,tags,priority,allow_past,headers.X-A,metadata.a.b,targets,account\n"
        f'm,{DUE},webhook,http://x,"hi, ""you""\nthere",a; b,7,yes,1,2,,\n'
    )
    (entry,) = rows_of(text)
    assert json.loads(entry.text) == {
        "id": "m", "due_at": DUE, "channel": "webhook", "to": "http://x", "body": 'hi, "you"\nthere',
        "tags": ["a", "b"], "priority": 7, "allow_past": True, "headers": {"X-A": "1"}, "metadata": {"a.b": "2"},
    }  # fmt: skip


@pytest.mark.parametrize(("body", "kind"), [('{"a": 1}', "application/json"), ("[oops", None), ("plain", None)])
def test_a_body_that_is_json_is_sent_as_it_stands_with_its_content_type(body, kind):
    quoted = body.replace('"', '""')
    message = json.loads(rows_of(f'{HEADER}m,{DUE},log,"{quoted}"\n')[0].text)
    assert (message["body"], message.get("content_type")) == (body, kind)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_seen_in_the_header(delimiter):
    text = "\ufeff" + HEADER.replace(",", delimiter) + delimiter.join(["m", DUE, "log", "a|b"]) + "\r\n"
    assert json.loads(rows_of(text)[0].text)["body"] == "a|b"


def test_rows_are_numbered_by_their_first_line():
    found = rows_of(f'{HEADER}a,{DUE},log,"1\n2\n3"\n\nb,{DUE},log,x\n')
    assert [(entry.number, ids([entry])[0]) for entry in found] == [(2, "a"), (6, "b")]


def test_a_bad_cell_refuses_its_row_only_and_is_told_by_line_and_column():
    text = (
        "id,due_at,priority,allow_past,targets,body\n"
        f"a,{DUE},high,,,\n"
        f"b,{DUE},1,maybe,,\n"
        f"c,{DUE},1,,[,\n"
        f"d,{DUE},1,,,x,y\n"
        f'e,{DUE},1,,,"x"y\n'
        f"f,{DUE},1,,,good\n"
    )
    found = rows_of(text)
    assert [(number, field) for number, field, _ in faults(found)] == [
        (2, "priority"), (3, "allow_past"), (4, "targets"), (5, ""), (6, "")
    ]  # fmt: skip
    assert "'high'" in faults(found)[0][2]
    assert [entry.number for entry in found if entry.problem is None] == [7]


def test_a_cell_that_is_not_utf_8_is_told():
    found = rows_of(HEADER.encode() + b"a,2100-01-01T08:00:00Z,log,caf\xe9\n")
    assert faults(found) == [(2, "body", "is not UTF-8")]
    assert json.loads(found[0].text)[3] == "caf?"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "is empty"),
        ("id,due_at,colour\n", "column 3 of the header is 'colour'"),
        ("id,,due_at\n", "column 2 of the header has no name"),
        ("id,due_at,id\n", "names 'id' twice"),
        ("id,channel\n", "no due_at"),
        ("due_at,metadata\n", None),
        ("due_at,headers.\n", "'headers.'"),
    ],
)
def test_a_header_that_names_no_fields_is_refused_at_once(header, said):
    if said is None:
        assert rows_of(header) == []
        return
    with pytest.raises(UserError, match=said):
        rows_of(header)


# ---- the run


class Gateway:
    """Makes messages by id, refuses what says so, and dies after so many requests."""

    def __init__(self, dies_after: int | None = None) -> None:
        self.made: list[str] = []
        self.answered: dict[str, int] = {}
        self.requests: list[int] = []
        self.dies_after = dies_after

    async def __call__(self, entries: Sequence[Entry]) -> list[Told]:
        self.requests.append(len(entries))
        told = [self._told(json.loads(entry.text)) for entry in entries]
        if self.dies_after is not None and len(self.requests) > self.dies_after:
            raise ConnectionError("it was all made, and nobody heard of it")
        return told

    def _told(self, message: dict) -> Told:
        self.answered[message["id"]] = self.answered.get(message["id"], 0) + 1
        if message.get("body") == "bad":
            return Told(422, "invalid", invalid(Fault("body", "is bad", "mend it")).details)
        if message["id"] in self.made:
            return Told(200, "repeated")
        self.made.append(message["id"])
        return Told(201, "accepted")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """100 lines, of which each tenth is bad and the odd ones have no id; ten to a request."""
    monkeypatch.setattr(import_run, "LINES_AT_ONCE", 10)
    path = tmp_path / "posts.ndjson"
    with path.open("w") as out:
        for number in range(1, 101):
            named = {} if number % 2 else {"id": f"m{number}"}
            out.write(json.dumps(named | {"body": "bad" if number % 10 == 0 else "good"}) + "\n")
    return path


async def run_over(path: Path, gateway: Gateway, url: str = "http://g") -> Counts:
    source, journal = Source(str(path), None), Journal.beside(path)
    with source.opened() as opened:
        tape, place = Tape(opened), journal.read(url)
        entries = source.entries(tape, place)
        counts = place.counts if place else Counts()
        refusals = Refusals(source.refused, place.refused if place else 0)
        await Import(tape, journal, refusals, url=url, counts=counts, moved=lambda: None).run(entries, gateway)
    return counts


def changed(path: Path) -> None:
    path.write_text(path.read_text().replace("good", "evil", 1))


def refused_lines(path: Path) -> list[int]:
    refused = path.with_name(path.name + ".refused.ndjson")
    return [json.loads(line)["line"] for line in refused.read_text().splitlines()]


async def test_every_line_is_sent_once_and_refused_ones_are_kept_with_the_reason(file: Path):
    gateway = Gateway()
    assert await run_over(file, gateway) == Counts(lines=100, accepted=90, repeated=0, refused=10)
    assert gateway.requests == [10] * 10
    assert refused_lines(file) == list(range(10, 101, 10))
    first = json.loads(file.with_name("posts.ndjson.refused.ndjson").read_text().splitlines()[0])
    assert first["given"] == {"id": "m10", "body": "bad"}
    assert first["problem"]["errors"] == [{"field": "body", "problem": "is bad", "remedy": "mend it"}]
    assert not Journal.beside(file).read("http://g")


@pytest.mark.parametrize("dies_after", range(10))
async def test_wherever_it_dies_the_next_run_makes_each_message_exactly_once(file: Path, dies_after: int):
    gateway = Gateway(dies_after)
    with pytest.raises(ConnectionError):
        await run_over(file, gateway)
    gateway.dies_after = None
    counts = await run_over(file, gateway)
    assert (counts.lines, counts.accepted + counts.repeated, counts.refused) == (100, 90, 10)
    assert len(gateway.made) == len(set(gateway.made)) == 90
    assert refused_lines(file) == list(range(10, 101, 10))
    again = {message_id for message_id, times in gateway.answered.items() if times > 1}
    assert len(again) <= 10 * import_run.AHEAD, "what was settled is not sent again"


async def test_refused_lines_that_a_crash_left_unsettled_are_not_told_twice(file: Path):
    gateway = Gateway(dies_after=5)
    with pytest.raises(ConnectionError):
        await run_over(file, gateway)
    with file.with_name("posts.ndjson.refused.ndjson").open("a") as refused:
        refused.write('{"line":99,"half a l')
    gateway.dies_after = None
    await run_over(file, gateway)
    assert refused_lines(file) == list(range(10, 101, 10))


async def test_a_file_that_changed_behind_its_import_is_not_gone_on_with(file: Path):
    with pytest.raises(ConnectionError):
        await run_over(file, Gateway(dies_after=5))
    changed(file)
    with pytest.raises(UserError, match="--restart"):
        await run_over(file, Gateway())


async def test_a_file_half_imported_into_one_gateway_is_not_gone_on_with_in_another(file: Path):
    with pytest.raises(ConnectionError):
        await run_over(file, Gateway(dies_after=5))
    with pytest.raises(UserError, match="http://g stopped behind line"):
        await run_over(file, Gateway(), "http://other")


async def test_csv_goes_on_behind_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(import_run, "LINES_AT_ONCE", 10)
    path, gateway = tmp_path / "posts.csv", Gateway(dies_after=5)
    path.write_text("due_at,body\n" + "".join(f'{DUE},"line {n}\nof two"\n' for n in range(100)))
    with pytest.raises(ConnectionError):
        await run_over(path, gateway)
    gateway.dies_after = None
    assert (await run_over(path, gateway)).lines == 100
    assert len(gateway.made) == len(set(gateway.made)) == 100


class Told503:
    """Each line is put off twice."""

    def __init__(self) -> None:
        self.times: dict[str, int] = {}

    async def bulk_ndjson(self, content: bytes, *, first_line: int) -> bytes:
        answers = []
        for number, line in enumerate(content.splitlines(), first_line):
            message_id = json.loads(line)["id"]
            self.times[message_id] = self.times.get(message_id, 0) + 1
            late = {"status": 503, "result": "unavailable", "problem": {"type": "", "title": "", "status": 503}}
            done = self.times[message_id] > (2 if message_id == "m2" else 0)
            answers.append({"line": number} | ({"status": 201, "result": "accepted"} if done else late))
        return b"\n".join(json.dumps(answer).encode() for answer in answers)


async def test_a_line_that_is_put_off_is_sent_again_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(import_run, "PAUSES_S", (0, 0, 0))
    gateway = Told503()
    ask = import_run.asking(type("Client", (), {"messages": gateway}))
    told = await ask([Entry(n, b'{"id":"m%d"}' % n) for n in (1, 2, 3)])
    assert [each.status for each in told] == [201, 201, 201]
    assert gateway.times == {"m1": 1, "m2": 3, "m3": 1}
    monkeypatch.setattr(import_run, "PAUSES_S", (0,))
    with pytest.raises(UserError, match="run the same command again"):
        await import_run.asking(type("Client", (), {"messages": Told503()}))([Entry(2, b'{"id":"m2"}')])


def test_requests_are_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(import_run, "BYTES_AT_ONCE", 100)
    tape = Tape(io.BytesIO(b'{"id":"%s"}\n' % (b"x" * 60) * 5))
    assert [len(batch.entries) for batch in import_run.batches(ndjson_entries(tape), tape)] == [2, 2, 1]


# ---- a trial


async def test_a_trial_finds_what_gateway_and_owner_would_refuse():
    good = {"id": "a", "due_at": DUE, "channel": "log"}
    lines = [
        good, good, good | {"body": "other"}, good | {"id": "b", "channel": "pigeon"}, good | {"id": "a@b"},
        good | {"id": "c", "due_at": "2020-01-01T00:00:00Z"}, good | {"id": "d", "due_at": "2020-01-01"}, {"id": "e"},
    ]  # fmt: skip
    found = await checking(NOON, POLICY)([Entry(n, json.dumps(line).encode()) for n, line in enumerate(lines, 1)])
    assert [told.problem.errors[0].field if told.problem else None for told in found] == [
        None, None, "id", "channel", "id", "due_at", "due_at", "due_at"
    ]  # fmt: skip


def cli(*arguments: str):
    return CliRunner().invoke(app, ["import", *arguments], env={"CLEPSYDRA_API_KEY": None})


def test_the_command_tells_a_trial_and_its_exit_code(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text(f"{HEADER}a,{DUE},log,x\n")
    done = cli(str(path), "--dry-run", "--json")
    assert (done.exit_code, json.loads(done.stdout)["accepted"]) == (0, 1)
    path.write_text(f"{HEADER}a,{DUE},log,x\nb,soon,log,x\n")
    done = cli(str(path), "--dry-run")
    assert done.exit_code == 1
    assert "line 3 due_at" in done.stdout
    assert [each.name for each in tmp_path.iterdir()] == ["x.csv"], "a trial leaves nothing"


@pytest.mark.parametrize(
    ("name", "said"),
    [("x.txt", "give --format"), ("missing.csv", "cannot be read: No such file"), ("there.csv", "no API key")],
)
def test_the_command_says_what_it_needs(tmp_path: Path, name: str, said: str):
    (tmp_path / "there.csv").write_text(HEADER)
    arguments = [] if name == "there.csv" else ["--dry-run"]
    assert said in str(cli(str(tmp_path / name), *arguments).exception)


def test_standard_input_is_ndjson_unless_told():
    assert (Source("-", None).format, Source("-", Format.CSV).format) == (Format.NDJSON, Format.CSV)
    assert Source("-", None).refused == Path("stdin.refused.ndjson")
