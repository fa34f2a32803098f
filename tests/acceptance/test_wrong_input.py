"""Wrong input on each path: it is refused with where it lay and what to do, and what stands beside it goes on."""

import asyncio
import sys
from datetime import UTC, datetime

import httpx
import msgspec
import pytest
from system import System, new_id, now_ms, until

from schemas.commands import Create, Look
from schemas.wire import encode, read_answers
from topology.embedded_process import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

BAD = {
    "bad JSON": (b'{"kind":"create",', "", "truncated"),
    "not UTF-8": (b'{"kind":"cancel","command_id":"c","id":"\xff\xfe"}', "", ""),
    "no value": (None, "", "no value"),
    "unknown kind": (b'{"kind":"destroy","command_id":"c","id":"x"}', "kind", "destroy"),
    "unknown version": (b'{"kind":"cancel","v":2,"command_id":"c","id":"x"}', "v", "2"),
    "unknown field": (b'{"kind":"cancel","command_id":"c","id":"x","colour":"red"}', "colour", "unknown field"),
    "naive due_at": (
        b'{"kind":"create","command_id":"c","message":{"id":"x","channel":"log","due_at":"2100-01-01T00:00:00"}}',
        "due_at",
        "timezone",
    ),
    "unknown channel": (
        b'{"kind":"create","command_id":"c","message":{"id":"x-0","channel":"pigeon","due_at":"2100-01-01T00:00:00Z"}}',
        "channel",
        "pigeon",
    ),
    "control character": (
        b'{"kind":"create","command_id":"c","message":{"id":"x\\u0007","channel":"log","due_at":"2100-01-01T00:00:00Z"}}',
        "id",
        "control",
    ),
}


@pytest.mark.parametrize(("value", "field", "problem"), BAD.values(), ids=BAD.keys())
async def test_a_bad_command_is_a_dead_letter_and_the_next_one_works(shared: System, value, field, problem):
    good = new_id()
    partition = shared.partition(good)
    if value is not None:
        value = value.replace(b'"x-0"', b'"%s"' % _id_in(shared, partition).encode())
        value = value.replace(b'"x\\u0007"', b'"%s"' % _id_in(shared, partition, "\\u0007").encode())
    sent = await shared.produce(shared.names.commands, value, partition=partition)
    assert (await shared.create(shared.message(good))).result == "accepted"
    (letter,) = await _letter_of(shared, "commands", partition, sent.offset)
    assert (letter["topic"], letter["partition"], letter["offset"]) == ("commands", partition, sent.offset)
    assert letter.get("field", "") == field
    assert problem in letter["fault"]
    assert letter["remedy"]


def _id_in(system: System, partition: int, end: str = "") -> str:
    """An id of this partition; `end` as JSON has it."""
    return next(
        i
        for n in range(1_000)
        if system.partition(msgspec.json.decode(f'"{(i := f"x{n}-{now_ms()}{end}")}"')) == partition
    )


async def _letter_of(system: System, topic: str, partition: int, offset: int):
    def is_it(letter):
        return (letter.get("topic", ""), letter.get("partition"), letter.get("offset")) == (topic, partition, offset)

    return await system.letters(is_it)


async def test_of_a_mixed_pack_only_the_bad_element_is_refused(shared: System):
    first, last = new_id(), new_id()
    partition = shared.partition(first)
    while shared.partition(last) != partition:
        last = new_id()
    creates = [encode(Create(command_id=new_id(), message=shared.message(i))) for i in (first, last)]
    pack = b"[" + creates[0] + b',{"kind":"create","command_id":"c","message":{}},' + creates[1] + b"]"
    sent = await shared.produce(shared.names.commands, pack, partition=partition)
    await shared.received([first, last])
    (letter,) = await _letter_of(shared, "commands", partition, sent.offset)
    assert (letter["element"], letter["field"]) == (1, "id")
    await shared.all_in("delivered", [first, last])


async def test_a_command_in_the_wrong_partition_is_forwarded_and_answered(shared: System):
    message_id, command_id = new_id(), new_id()
    wrong = 1 - shared.partition(message_id)
    command = Create(command_id=command_id, message=shared.message(message_id), reply_to=0)
    await shared.produce(shared.names.commands, encode(command), partition=wrong)

    async def answered():
        records = await shared.read(shared.names.answers)
        return [a for r in records if r.partition == 0 for a in read_answers(r.value) if a.command_id == command_id]

    answers = await until(answered)
    assert [(a.id, a.result) for a in answers] == [(message_id, "accepted")]
    await shared.received([message_id])


async def test_what_nobody_can_read_in_due_and_acks_is_a_dead_letter_and_no_crash_loop(shared: System):
    pids = (shared.scheduler.pid, shared.courier.pid)
    for value in (b"\xff\xfe nonsense", b'[{"kind":"due","v":1}]', None):
        for topic in (shared.names.due("log"), shared.names.acks):
            sent = await shared.produce(topic, value, partition=0)
            (letter,) = await _letter_of(shared, topic.removeprefix(shared.settings.prefix), 0, sent.offset)
            assert letter["fault"]
            assert letter["remedy"] or letter["field"]
    ids = [new_id() for _ in range(8)]
    for message_id in ids:
        assert (await shared.create(shared.message(message_id, channel="log", to=""))).result == "accepted"
    await shared.all_in("delivered", ids)
    assert (shared.scheduler.running, shared.courier.running) == (True, True)
    assert (shared.scheduler.pid, shared.courier.pid) == pids


async def test_over_http_too_large_is_413_and_a_control_character_422(shared: System):
    port = free_port()
    environment = {"CLEPSYDRA_PORT": str(port), "CLEPSYDRA_API_KEY": "a-key-of-the-tests-000"}
    shared.keep(shared.worker("gateway", command=[sys.executable, "-m", "gateway.cli", "gateway"], **environment))
    headers = {"authorization": "Bearer a-key-of-the-tests-000"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as http:

        async def ready():
            try:
                return (await http.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(ready)
        due = {"due_at": datetime.now(UTC).isoformat(), "channel": "webhook", "to": shared.receiver.url}
        large = await http.post("/v1/messages", content=b" " * 10_000_000)
        control = await http.post("/v1/messages", json=due | {"id": "a\x07b", "body": {"due_ms": 0}})
        good = await http.post("/v1/messages", json=due | {"id": (good_id := new_id()), "body": {"due_ms": 0}})
    assert (large.status_code, control.status_code, good.status_code) == (413, 422, 201)
    assert control.json()["errors"][0]["field"] == "id"
    await shared.received([good_id])


async def test_a_look_at_nothing_is_answered(shared: System):
    answers = await asyncio.gather(*(shared.ask(Look(command_id=new_id(), id=new_id())) for _ in range(10)))
    assert {a.result for a in answers} == {"not_found"}
