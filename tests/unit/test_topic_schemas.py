"""The JSON Schemas of the topics: valid, and of one mind with the decoders."""

import json

import msgspec
import pytest
from builders import NOON, a_cancel, a_create, a_look, a_message, a_row, an_ack, an_edit, asked, decided, seen
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from typer.testing import CliRunner

from agents.round import refusal
from gateway.cli import app
from schemas.commands import Answer
from schemas.due import DueMessage, Fence
from schemas.events import DeadLetter
from schemas.lifecycle import DeliveryState
from schemas.message import Content, Message
from schemas.outcomes import CourierClaim, EpochSeen, OutcomeRecord, Rejected, Response, RetryLater, Started
from schemas.rows import Claim, Progress
from schemas.settings_records import ApiKey
from schemas.times import at
from schemas.topic_records import RECORDS, json_schema, records_of
from schemas.window_records import window_record
from schemas.windows import NOTHING
from schemas.wire import Fault, encode, read_commands
from topology.topics import TopicNames, topic_specs

LATER: set[str] = set()
"""Topics whose records have no schema yet."""

FULL = a_message(
    body=msgspec.Raw(b'{"z":[1.5,null],"a":"\xc3\xbc"}'),
    headers={"x-mine": "1"}, account="acme", flow="posts", priority=9, expires_at=at(NOON + 1000), tags=("a",),
    metadata={"deep": {"er": 1}}, content_type="application/json",
)  # fmt: skip
DUE = DueMessage(
    id="m", key="m/0", target=0, birth=1, turn=2, revision=3, attempt=1, due_at=at(NOON), channel="log",
    partition=0, epoch=4, emitted_at=at(NOON),
)  # fmt: skip
MEMORY = {"claim": 1, "key": "m/0", "birth": 1, "turn": 1, "due_at": at(NOON)}
DECIDED = decided(seen(None), asked(a_create(FULL)))
ROW = a_row(FULL, {"state": DeliveryState.DEAD, "reason": "gone", "last_response": Response(status=410)})
REFUSED = Answer(command_id="c", id="m", result="refused", detail="`channel` 'pigeon' is not known here")

VALUES = [
    ("commands", [a_create(FULL), an_edit(priority=1, expires_at=None), a_cancel(), a_look()]),
    ("commands", a_create(a_message(body_base64="aGk=", body=msgspec.Raw(b"")))),
    ("timetable", ROW),
    ("timetable", Claim(owner="o", at=at(NOON))),
    ("timetable", Progress(epoch=1, commands=2, acks=3)),
    ("due", [DUE, Fence(partition=0, epoch=4)]),
    ("acks", [an_ack().ack, an_ack(RetryLater(reason="503", after_ms=5, response=Response(status=503))).ack]),
    ("answers", [DECIDED.answer, REFUSED]),
    ("answers", [decided(seen(ROW), asked(a_look())).answer]),
    ("outcomes", OutcomeRecord(**MEMORY, finished_at=at(NOON), result=Rejected(reason="404"))),
    ("outcomes", CourierClaim(courier="c")),
    ("outcomes", EpochSeen(claim=1, partition=0, epoch=3)),
    ("outcomes", Started(**MEMORY, at=at(NOON))),
    ("events", DECIDED.events[0]),
    ("dead_letters", DeadLetter(id="m", at=at(NOON), target=0, state=DeliveryState.DEAD, row=ROW)),
    ("settings", ApiKey(key="k", name="n", scopes=("read",), sha256="0", ending="abcd", created_at=at(NOON))),
    ("windows", window_record(3, NOON, (*range(1, len(NOTHING) + 1),), 2, epoch=5, now_ms=NOON)),
    ("dead_letters", refusal(asked(a_create(FULL)), REFUSED, 0)),
]


def validator(topic: str) -> Draft202012Validator:
    return Draft202012Validator(json_schema(records_of(topic)))


@pytest.mark.parametrize("records", RECORDS, ids=lambda each: each.topic)
def test_each_schema_is_one_by_its_own_rules_and_says_what_it_is_of(records):
    schema = json_schema(records)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:clepsydra:schema:{records.topic}:v1"
    assert schema["title"]
    assert records.says in schema["description"]
    assert all("discriminator" not in definition for definition in (schema, *schema["$defs"].values()))


@pytest.mark.parametrize(("topic", "value"), VALUES)
def test_what_we_write_is_valid(topic, value):
    validator(topic).validate(json.loads(encode(value)))


BAD_COMMANDS = [
    {"kind": "destroy", "command_id": "c", "id": "m"},
    {"kind": "cancel", "id": "m"},
    {"kind": "cancel", "command_id": "c", "id": "m", "colour": "red"},
    {"kind": "cancel", "command_id": "c", "id": "m", "v": 2},
    {"kind": "edit", "command_id": "c", "id": "m", "changes": {"priority": 10}},
    {"kind": "create", "command_id": "c", "message": {"id": "m", "channel": "log"}},
    {"kind": "create", "command_id": "c", "message": {"id": "m", "channel": "Log", "due_at": "2100-01-01T00:00:00Z"}},
]


@pytest.mark.parametrize("command", BAD_COMMANDS)
def test_schema_and_decoder_refuse_the_same_commands(command):
    with pytest.raises(ValidationError):
        validator("commands").validate(command)
    assert isinstance(read_commands(json.dumps(command).encode())[0], Fault)


def test_the_message_in_our_own_records_may_have_fields_of_the_next_release():
    row = json.loads(encode(ROW)) | {"later": 1}
    row["message"]["later"] = 1
    validator("timetable").validate(row)


def test_our_own_records_carry_their_version_and_a_producer_may_leave_it_out():
    row = json.loads(encode(ROW))
    del row["v"]
    with pytest.raises(ValidationError):
        validator("timetable").validate(row)
    validator("commands").validate({"kind": "cancel", "command_id": "c", "id": "m"})


def test_every_topic_has_a_schema():
    names = [
        spec.name for spec in topic_specs(TopicNames("x."), ["log"], partitions=1, due_partitions=1, replication=1)
    ]
    assert {name for name in names if records_of(name, "x.") is None} == {f"x.{name}" for name in LATER}


def test_a_message_of_the_schemas_has_the_fields_of_the_record():
    fields = set(Message.__struct_fields__) | set(Content.__struct_fields__)
    assert set(json_schema(records_of("commands"))["$defs"]["Message"]["properties"]) == fields


def cli(*arguments: str):
    return CliRunner().invoke(app, ["topics", "schema", *arguments])


@pytest.mark.parametrize("name", ["due", "due.webhook", "clepsydra.due.webhook"])
def test_the_command_prints_a_schema_by_any_of_a_topics_names(name: str):
    assert json.loads(cli(name).stdout) == json_schema(records_of("due"))


def test_the_command_prints_all_and_lists_what_there_is():
    assert json.loads(cli("--all", "--json").stdout).keys() == {each.topic for each in RECORDS}
    assert [each["topic"] for each in json.loads(cli("--json").stdout)] == [each.topic for each in RECORDS]
    assert "outcomes.<channel>" in cli().stdout


def test_the_command_says_what_there_is_when_a_name_is_wrong():
    assert "commands, timetable, schedules, due" in str(cli("orders").exception)
