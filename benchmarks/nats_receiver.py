"""Receives what NATS has sent, acks it, notes key and time. Arguments: url, stream, subject."""

import sys

import nats
import uvloop
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from benchmarks.arrivals import Notes

KEY_ENDS_AT = b" "
ACK_PENDING_MAX = 20_000


async def serve(url: str, stream: str, subject: str) -> None:
    notes = Notes()
    client = await nats.connect(url)

    async def take(message: Msg) -> None:
        notes.take(message.data.partition(KEY_ENDS_AT)[0].decode())
        await message.ack()

    config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=ACK_PENDING_MAX)
    await client.jetstream().subscribe(
        subject, stream=stream, cb=take, manual_ack=True, config=config, pending_msgs_limit=-1, pending_bytes_limit=-1
    )
    await notes.serve()
    await client.close()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:4]))
