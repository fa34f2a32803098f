"""A webhook receiver whose arrivals the kernel stamps: when the bytes came in, however late this process looks at them."""

import asyncio
import socket
import struct
from typing import Self

from httptools import HttpRequestParser
from multidict import CIMultiDict
from system_receiver import Receiver

SO_TIMESTAMPNS = 35
"""Linux, include/uapi/asm-generic/socket.h: each read says when its bytes were received. `socket` has no name for it."""
STAMP = struct.Struct("qq")
READ_MAX = 1 << 18


class StampedReceiver(Receiver):
    """Answers at once."""

    async def __aenter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # connections have it from here
        self._socket.setblocking(False)
        self._connections: list[Connection] = []
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/hook"
        asyncio.get_running_loop().add_reader(self._socket, self._accept)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        accepted, _ = self._socket.accept()
        accepted.setblocking(False)
        self._connections.append(Connection(self, accepted))

    def took(self, headers: CIMultiDict[str], body: bytes, at_ms: int) -> bytes:
        """Keep a request; the answer to it."""
        return f"HTTP/1.1 {self._take(headers, body, at_ms).status} -\r\nContent-Length: 0\r\n\r\n".encode()


class Connection:
    """Requests one after the other."""

    def __init__(self, receiver: StampedReceiver, connected: socket.socket) -> None:
        self._receiver, self._socket = receiver, connected
        self._parser = HttpRequestParser(self)
        self._stamp_ms = self._at_ms = 0
        asyncio.get_running_loop().add_reader(connected, self._read)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def _read(self) -> None:
        try:
            data, control, _, _ = self._socket.recvmsg(READ_MAX, socket.CMSG_SPACE(STAMP.size))
        except ConnectionError:
            data = b""
        if not data:
            self.close()
            return
        [(_, _, stamp)] = control
        seconds, nanoseconds = STAMP.unpack(stamp)
        self._stamp_ms = seconds * 1_000 + nanoseconds // 1_000_000
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """A request begins with what was just read."""
        self._at_ms = self._stamp_ms
        self._headers: CIMultiDict[str] = CIMultiDict()
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.add(name.decode(), value.decode())

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._socket.send(self._receiver.took(self._headers, self._body, self._at_ms))
