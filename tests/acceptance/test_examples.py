"""The examples do what they say, against a real system, and write what the schemas allow."""

import sys

import msgspec
import pytest
from jsonschema import Draft202012Validator
from system import System
from system_process import ROOT

from schemas.topic_records import json_schema, records_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
COUNT = 250


async def run(system: System, name: str, *arguments: str) -> str:
    """What an example says until it ends."""
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments]
    process = system.keep(system.worker("scheduler", name, command))
    code = await process.ended(60)
    assert code == 0, process.text()
    return process.text()


async def test_the_producer_makes_each_message_once_and_the_consumer_sees_it_finished(shared: System):
    for _ in range(2):
        assert f"{COUNT} messages are in" in await run(shared, "produce_commands", "orders", str(COUNT))
    told = await run(shared, "consume_events", "orders-", str(COUNT - 1))
    kinds = [line.split()[2] for line in told.splitlines()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "scheduled": COUNT, "edited": 2, "delivered": COUNT - 1, "finished": COUNT - 1
    }  # fmt: skip
    assert (await shared.look("orders-0")).state == "scheduled"


async def test_what_the_producer_writes_is_as_the_schema_says(shared: System):
    validator = Draft202012Validator(json_schema(records_of("commands")))
    values = [msgspec.json.decode(record.value) for record in await shared.read(shared.names.commands)]
    assert sum(len(value) for value in values if isinstance(value, list)) >= COUNT - 1
    for value in values:
        validator.validate(value)
