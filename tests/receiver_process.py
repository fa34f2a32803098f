"""`python receiver_process.py PORT_FILE`: the receiver of tests as a process of its own; GET /arrivals tells what came."""

import asyncio
import sys
from pathlib import Path
from urllib.parse import unquote

import msgspec
from aiohttp import web
from system_receiver import Receiver, Reply


class ToldReceiver(Receiver):
    """What is posted to /refuse is refused for good."""

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if request.method == "GET":
            return web.Response(body=msgspec.json.encode([[a.key, a.at_ms, a.status, a.body] for a in self.arrivals]))
        if request.path == "/refuse":
            self.script[unquote(request.headers["webhook-id"]).rpartition("/")[0]] = [Reply(400)]
        return await super()._handle(request)


async def main(port_file: Path) -> None:
    async with ToldReceiver() as receiver:
        told = port_file.with_suffix(".part")
        told.write_text(receiver.url)
        told.rename(port_file)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
