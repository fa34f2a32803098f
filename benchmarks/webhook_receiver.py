"""A webhook receiver as fast as Python allows: notes key and time of each POST, answers 204. Argument: the port."""

import asyncio
import sys
from typing import cast

import httptools
import uvloop

from benchmarks.arrivals import Notes

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._key = ""
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by their class

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"webhook-id":
            self._key = value.decode()

    def on_message_complete(self) -> None:
        self._notes.take(self._key)
        self._transport.write(ANSWER)


async def serve(port: int) -> None:
    notes = Notes()
    await asyncio.get_running_loop().create_server(lambda: Connection(notes), "127.0.0.1", port, backlog=4096)
    await notes.serve()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
