"""Follows what becomes of messages by reading `events`: each transition of each message is a record.

    CLEPSYDRA_BROKERS=127.0.0.1:9092 python examples/consume_events.py orders-

prints a line for each event of the messages whose ids begin so, until Ctrl-C (or, with a number behind it, until so many
of them are finished).
"""

import asyncio
import json
import os
import sys
from typing import Any

from aiokafka import AIOKafkaConsumer

BROKERS = os.environ.get("CLEPSYDRA_BROKERS", "127.0.0.1:9092")
TOPIC = os.environ.get("CLEPSYDRA_PREFIX", "clepsydra.") + "events"
REMEMBERED = 10_000


class Repeats:
    """Events come at least once. Their ids are derived from what they tell, so the last ones are remembered."""

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}

    def is_new(self, event_id: str) -> bool:
        """Whether it was not told before."""
        if event_id in self._seen:
            return False
        self._seen[event_id] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return True


def show(event: dict[str, Any]) -> None:
    """What a real reader would act on."""
    print(event["at"], event["id"], event["kind"], event["state"], event.get("reason", ""), flush=True)


async def main(prefix: str, finished_max: float) -> None:
    """Read, act, then commit: a crash repeats events rather than losing them."""
    repeats, finished = Repeats(), 0
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=BROKERS,
        group_id=f"example.{prefix}",  # started again, it goes on where it was
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        while finished < finished_max:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for event in map(json.loads, (record.value for record in records)):
                    if event["v"] != 1:
                        sys.exit(f"an event of version {event['v']}: this reader knows 1")
                    if event["id"].startswith(prefix) and repeats.is_new(event["event_id"]):
                        show(event)
                        finished += event["kind"] == "finished"
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else float("inf")))
