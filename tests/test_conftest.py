"""What all tests rely on."""

import asyncio
import gc
import socket

import pytest


@pytest.mark.slow
async def test_a_connection_that_comes_as_its_server_closes_is_no_leak_of_ours() -> None:
    for turns in range(5):
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()):
            for _ in range(turns):
                await asyncio.sleep(0)
            server.close()
            await asyncio.sleep(0.01)
    gc.collect()
