"""Schedules messages by writing to Kafka: no HTTP, no library of Clepsydra's, any client would do.

    CLEPSYDRA_BROKERS=127.0.0.1:9092 python examples/produce_commands.py orders 1000

schedules `orders-0` to `orders-999` on the channel log, due in five seconds, and moves the first by a minute.
Run again with the same name, it makes none of them twice: an id and a `command_id` count once.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

BROKERS = os.environ.get("CLEPSYDRA_BROKERS", "127.0.0.1:9092")
TOPIC = os.environ.get("CLEPSYDRA_PREFIX", "clepsydra.") + "commands"
PACK = 200


def routing_key(message_id: str) -> bytes:
    """What decides the partition: the id, for an occurrence (`<schedule>@<time>`) its schedule's."""
    return (message_id.rpartition("@")[0] or message_id).encode()


def create(message_id: str, due_at: datetime, body: object) -> dict[str, object]:
    """A command. Its `command_id` is the same for every repeat, so a repeat is done once."""
    message = {"id": message_id, "due_at": due_at.isoformat(), "channel": "log", "body": body}
    return {"kind": "create", "command_id": f"create {message_id}", "message": message}


def edit(message_id: str, due_at: datetime) -> dict[str, object]:
    """Only what changes."""
    changes = {"due_at": due_at.isoformat()}
    return {"kind": "edit", "command_id": f"{message_id} to {due_at.isoformat()}", "id": message_id, "changes": changes}


def packs(commands: list[dict[str, object]], partitions: int) -> Iterator[tuple[int, bytes]]:
    """Many at once: JSON arrays of up to 200 commands of one partition each. Owners read them 30 times as fast."""
    shares: dict[int, list[dict[str, object]]] = {}
    for command in commands:
        partition = (murmur2(routing_key(command["message"]["id"])) & 0x7FFFFFFF) % partitions  # type: ignore[index]
        shares.setdefault(partition, []).append(command)
    for partition, share in shares.items():
        for start in range(0, len(share), PACK):
            yield partition, json.dumps(share[start : start + PACK]).encode()


async def main(name: str, count: int) -> None:
    """One command, then many, then an edit."""
    due = datetime.now(UTC) + timedelta(seconds=5)
    ids = [f"{name}-{number}" for number in range(count)]
    async with AIOKafkaProducer(bootstrap_servers=BROKERS, acks="all", enable_idempotence=True) as producer:
        # One command per record: the key is all that is needed, aiokafka's partitioner is murmur2 as Java's.
        one = json.dumps(create(ids[0], due, {"number": 0})).encode()
        await producer.send_and_wait(TOPIC, one, key=routing_key(ids[0]))

        # Many: packed, so the partition is chosen here.
        partitions = len(await producer.partitions_for(TOPIC))
        rest = [create(message_id, due, {"number": number}) for number, message_id in enumerate(ids[1:], 1)]
        sent = [await producer.send(TOPIC, pack, partition=where) for where, pack in packs(rest, partitions)]
        await asyncio.gather(*sent)  # durable once this returns; what raises is written again, as it is

        later = json.dumps(edit(ids[0], due + timedelta(minutes=1))).encode()
        await producer.send_and_wait(TOPIC, later, key=routing_key(ids[0]))
    print(f"{count} messages are in {TOPIC}, due at {due.isoformat()}; {ids[0]} a minute later")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
