"""What an operator reads when a connection to RabbitMQ fails: words, and no Python."""

import asyncio
import re
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import connectors.rabbitmq
from connectors.errors import NotConnectedError
from connectors.rabbitmq.settings import RabbitMqSettings
from connectors.rabbitmq.source import RabbitMqSource
from connectors.rabbitmq.timing import Timing

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(8)
    writer.close()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: closing is a reset
    writer.close()


async def speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(8)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    writer.close()


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


PEERS: dict[str, tuple[Peer, str]] = {
    "closes": (closes, "the connection was closed before the server spoke AMQP; is the broker up"),
    "resets": (resets, "the connection was closed before the server spoke AMQP; is the broker up"),
    "speaks HTTP": (speaks_http, "the connection was closed before the server spoke AMQP; is the broker up"),
    "says nothing": (says_nothing, "no answer in time; is the broker up"),
}


@pytest.mark.parametrize("peer, words", PEERS.values(), ids=PEERS)
async def test_a_server_that_speaks_no_amqp_is_told_in_words(peer: Peer, words: str) -> None:
    async with await asyncio.start_server(peer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = RabbitMqSettings.model_validate(
            {"url": f"amqp://guest:guest@127.0.0.1:{port}/", "queue": {"name": "q"}}
        )
        source = RabbitMqSource("orders", settings, timing=Timing(open=0.5))
        with pytest.raises(NotConnectedError) as refused:
            await source.connect()
        await source.close()
    assert str(refused.value).startswith(f"cannot connect to 127.0.0.1:{port}: {words}")
    assert not any(sign in str(refused.value) for sign in ("Error", "<", "',"))


def test_nothing_of_the_connector_leaves_the_loop() -> None:
    """A call from another thread sticks in pika, or mixes up its frames: so there is no other thread."""
    files = list(Path(connectors.rabbitmq.__path__[0]).glob("*.py"))
    assert len(files) > 5
    for file in files:
        assert not re.search(r"\bto_thread\b|\brun_in_executor\b|\bthreading\b|\bfutures\b", file.read_text("utf-8")), (
            file
        )
