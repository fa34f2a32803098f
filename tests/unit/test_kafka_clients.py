"""How this process's connections to Kafka are made."""

import asyncio

from aiokafka.conn import AIOKafkaConnection

from topology.clients import READ_BYTES


async def test_a_connection_reads_a_large_answer_without_pausing_its_socket():
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    connection = AIOKafkaConnection("127.0.0.1", server.sockets[0].getsockname()[1])
    connecting = asyncio.create_task(connection.connect())
    try:
        await asyncio.wait_for(asked.wait(), 5)
        assert connection._reader._limit == READ_BYTES
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        connection.close()
        server.close()
        await server.wait_closed()
