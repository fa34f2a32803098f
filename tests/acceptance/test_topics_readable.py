"""What anyone sees with a plain consumer: JSON under the promised keys, with the promised fields."""

from datetime import datetime

import msgspec
import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator
from system import System, new_id, now_ms, until

from schemas.times import at
from schemas.topic_records import json_schema, records_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def of_message(system: System, topic: str, id_: str):
    """(record, element) of one message, packs opened."""
    found = []
    for record in await system.read(topic):
        value = msgspec.json.decode(record.value) if record.value else None
        elements = value if isinstance(value, list) else [value]
        found += [(record, element) for element in elements if element and element.get("id") == id_]
    return found


@pytest_asyncio.fixture(loop_scope="module")
async def delivered(shared: System) -> str:
    id_ = new_id()
    await shared.create(shared.message(id_, in_s=0.5, headers={"x-mine": "1"}, account="acme", priority=7))
    await shared.all_in("delivered", [id_])
    return id_


async def test_a_due_record_says_what_is_sent_and_whose_word_it_is(shared: System, delivered: str):
    ((record, due),) = await of_message(shared, shared.names.due("webhook"), delivered)
    partition = shared.partition(delivered)
    view = (await shared.look(delivered)).view
    assert record.key == b"p%d" % partition
    assert due.pop("emitted_at") >= due["due_at"]
    assert due == {
        "kind": "due", "v": 1, "partition": partition, "epoch": due["epoch"], "id": delivered, "key": f"{delivered}/0",
        "target": 0, "birth": view.birth, "turn": 1, "revision": 1, "attempt": 1, "due_at": due["due_at"],
        "channel": "webhook", "to": shared.receiver.url, "flow": "acme", "account": "acme",
        "body": due["body"], "headers": {"x-mine": "1"},
    }  # fmt: skip
    assert due["body"]["text"] == "first"
    assert datetime.fromisoformat(due["due_at"]) == view.message.due_at


async def test_the_timetable_has_a_row_per_message_under_its_id_beside_claim_and_progress(
    shared: System, delivered: str
):
    rows = await of_message(shared, shared.names.timetable, delivered)
    assert {record.key for record, _ in rows} == {delivered.encode()}
    assert {record.partition for record, _ in rows} == {shared.partition(delivered)}
    first, last = rows[0][1], rows[-1][1]
    assert (first["kind"], first["v"], first["message"]["body"]["text"]) == ("row", 1, "first")
    assert (last["stub"], "body" in last["message"], last["deliveries"][0]["state"]) == (True, False, "delivered")
    assert first["epoch"] == last["epoch"] >= 0
    others = {
        r.key: msgspec.json.decode(r.value) for r in await shared.read(shared.names.timetable) if r.key[:1] == b"!"
    }
    assert others.keys() == {b"!claim", b"!progress"}
    assert others[b"!progress"].keys() == {"kind", "v", "epoch", "commands", "acks"}


async def test_events_tell_one_transition_each_in_order_under_the_messages_id(shared: System, delivered: str):
    async def all_told():
        found = await of_message(shared, shared.names.events, delivered)
        return found if len(found) == 3 else None

    events = await until(all_told)
    assert {record.key for record, _ in events} == {delivered.encode()}
    assert [event["kind"] for _, event in events] == ["scheduled", "delivered", "finished"]
    assert len({event["event_id"] for _, event in events}) == 3
    assert events[0][1]["message"]["body"]["text"] == "first"
    sent = events[1][1]
    assert (sent["channel"], sent["attempt"], sent["turn"], sent["response"]["status"]) == ("webhook", 1, 1, 200)
    assert sent["started_at"] >= sent["due_at"]


async def test_outcomes_and_acks_tell_what_the_courier_did(shared: System, delivered: str):
    acks = await of_message(shared, shared.names.acks, delivered)
    assert [(r.partition, a["turn"], a["result"]["outcome"]) for r, a in acks] == [
        (shared.partition(delivered), 1, "delivered")
    ]
    birth = acks[0][1]["birth"]
    records = await shared.read(shared.names.outcomes("webhook"))
    (outcome,) = [r for r in records if r.key == f"{delivered}/0!{birth}!1".encode()]
    assert msgspec.json.decode(outcome.value)["result"]["outcome"] == "delivered"


async def test_a_plain_producer_can_schedule_with_one_json_object(shared: System):
    id_ = new_id()
    command = {
        "kind": "create",
        "command_id": "from-anyone",
        "message": {
            "id": id_, "due_at": "2026-01-01T00:00:00+01:00", "channel": "webhook", "to": shared.receiver.url,
            "body": {"due_ms": 0, "z": [1.50, None], "a": "ü"},
        },
        "allow_past": True,
    }  # fmt: skip
    await shared.produce(shared.names.commands, msgspec.json.encode(command), key=id_.encode())
    await shared.received([id_])
    (arrival,) = shared.receiver.of(id_)
    assert list(arrival.body.items()) == [("due_ms", 0), ("z", [1.50, None]), ("a", "ü")]


async def test_every_record_on_every_topic_is_as_its_schema_says(shared: System, delivered: str):
    id_ = new_id()
    await shared.create(shared.message(id_, in_s=3600, targets=[{"channel": "kafka", "to": "nobody"}]))
    await shared.edit(id_, priority=1, due_at=at(now_ms() + 300))
    await shared.all_in("dead", [id_])
    await shared.cancel(delivered)
    await shared.produce(shared.names.commands, b'{"kind":"destroy"}', partition=0)
    await shared.letters(lambda letter: "destroy" in letter.get("fault", ""))
    names = shared.names
    topics = [names.commands, names.timetable, names.acks, names.answers, names.events, names.dead_letters]
    for topic in [*topics, names.due("webhook"), names.outcomes("webhook"), names.due("kafka")]:
        validator = Draft202012Validator(json_schema(records_of(topic, shared.settings.prefix)))
        values = [record.value for record in await shared.read(topic) if record.value]
        assert values, topic
        for value in values:
            if value != b'{"kind":"destroy"}':
                validator.validate(msgspec.json.decode(value))
