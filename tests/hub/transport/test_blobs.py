"""Where blobs may be: a client of the API names the URL, and must not reach what only this machine reaches."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from hub.errors import BlobError, BlobUnavailableError, InvalidRequestError
from hub.jobs.settings import JobSettings
from hub.transport import blobs as module
from hub.transport.blob_access import BlobAccess
from hub.transport.blobs import Blobs


@pytest.mark.parametrize(
    "url",
    [
        "http://account.example/box",
        "ftp://account.example/box",
        "https://account.example",
        "https://account.example/",
        "https://user@account.example/box",
        "https://account.example/box#part",
        "https://account.example:x/box",
        "https://account.example/b x",
        "https://account.example/b\nx",
        "https:///box",
        f"https://account.example/{'x' * 5000}",
        "https://127.0.0.1/box",
        "https://10.0.0.1:8443/box",
        "https://169.254.169.254/metadata",
        "https://100.64.0.1/box",
        "https://[::1]/box",
        "https://[::ffff:10.0.0.1]/box",
        "https://[64:ff9b::7f00:1]/box",
        "https://[fd00::1]/box",
        "https://[::7f00:1]/box",
        "https://[64:ff9b:1::7f00:1]/box",
        "https://[fec0::1]/box",
        "https://224.0.0.1/box",
    ],
)
def test_no_blob_is_at_such_a_url(url: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        BlobAccess().check(url)
    assert "user" not in str(raised.value)


def test_hosts_that_are_named_are_the_only_ones_and_may_be_private() -> None:
    named = BlobAccess(("blobs.corp.example", "10.0.0.0/8"))
    named.check("http://10.1.2.3:10000/account/box?sig=1")
    named.check("https://a.blobs.corp.example/box")
    for url in ("https://account.example/box", "https://192.168.0.1/box"):
        with pytest.raises(InvalidRequestError, match="none of those"):
            named.check(url)
    BlobAccess().check("https://8.8.8.8/box")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254"])
async def test_a_name_with_a_private_address_is_not_connected_to(monkeypatch: Any, address: str) -> None:
    def resolve(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    blobs = Blobs(BlobAccess())
    with pytest.raises(BlobError, match="has a private address"):
        await blobs.properties("https://innocent.example/box?sig=secret")
    await blobs.close()


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def host(answer: Answer) -> AsyncIterator[tuple[Blobs, str]]:
    """A client that may use a host which reads a request and answers as it is told, and the URL of a blob there."""

    served: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        blobs = Blobs(JobSettings(hosts=("127.0.0.1",)).access)
        try:
            yield blobs, "http://127.0.0.1:{1}/box/in.txt?sig=secret".format(*server.sockets[0].getsockname())
        finally:
            await blobs.close()
            await asyncio.gather(*filter(None, served))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "says no size"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "says no size"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000000000000000\r\n\r\n", "says no size"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \xe9\r\n\r\n", "ETag"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: " + b"x" * 5000 + b"\r\n\r\n", "ETag"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n", "HTTP 302"),
    ],
    ids=["none", "20 digits", "2 PB", "an ETag that is no ASCII", "a long ETag", "elsewhere"],
)
async def test_what_a_host_says_of_a_blob_is_not_believed_beyond_reason(said: bytes, words: str) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    async with host(answer) as (blobs, url):
        with pytest.raises(BlobError, match=words) as raised:
            await blobs.properties(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("begins", [b"HTTP/1.1 206 Partial Content\r\nX: ", b"HTTP/1.1 206 Partial Content\r\n\r\n"])
async def test_a_host_that_drips_its_answer_holds_a_job_for_a_time_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, begins: bytes
) -> None:
    monkeypatch.setattr(module, "_WHOLE_TIMEOUT", 0.3)

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(begins)
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with host(answer) as (blobs, url):
        with pytest.raises(BlobUnavailableError, match="no answer within") as raised:
            await blobs.read(url, 0, 1 << 20, etag="")
    assert "secret" not in str(raised.value)


async def test_an_answer_that_is_longer_than_what_was_asked_for_is_not_kept() -> None:
    sent = 0

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 206 Partial Content\r\n\r\n")
        while sent < 200:
            writer.write(bytes(1 << 20))
            await writer.drain()
            sent += 1

    async with host(answer) as (blobs, url):
        with pytest.raises(BlobError, match="more bytes than were asked for"):
            await blobs.read(url, 0, 4096, etag="")
    assert sent < 50
