"""An HTTP/2 server that does what a test says, frame by frame, on a real socket with TLS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

from hpack import Decoder, Encoder

from hub.transport.http2 import frames
from hub.transport.http2.frames import ACK, END_HEADERS, END_STREAM, HEAD, HEAD_SIZE, PREFACE, Kind, Setting
from sandbox.tls import Authority


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


class Received(NamedTuple):
    """A whole request."""

    stream: int
    fields: dict[str, str]
    body: bytes


class Talk:
    """One connection, seen from the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._encoder = Encoder()
        self._encoder.header_table_size = 0
        self._begun: dict[int, tuple[dict[str, str], bytes]] = {}
        self.frames: list[Frame] = []
        """All that came."""

    async def greet(self, settings: dict[Setting, int] | None = None) -> None:
        assert await self._reader.readexactly(len(PREFACE)) == PREFACE
        self.send(frames.settings(settings or {}))
        assert (await self.frame(Kind.SETTINGS)).stream == 0
        self.send(frames.frame(Kind.SETTINGS, flags=ACK))

    async def any_frame(self) -> Frame:
        upper, lower, kind, flags, stream = HEAD.unpack(await self._reader.readexactly(HEAD_SIZE))
        found = Frame(kind, flags, stream, await self._reader.readexactly(upper << 8 | lower))
        self.frames.append(found)
        return found

    async def frame(self, *kinds: Kind) -> Frame:
        """The next of these kinds; what comes before is skipped, but for acknowledgements of settings."""
        while True:
            found = await self.any_frame()
            if found.kind in kinds and not (found.kind == Kind.SETTINGS and found.flags & ACK):
                return found

    async def request(self) -> Received:
        """The next request that has come whole; others may have begun."""
        while True:
            found = await self.frame(Kind.HEADERS, Kind.DATA)
            if found.kind == Kind.HEADERS:
                block, flags = found.payload, found.flags
                while not flags & END_HEADERS:
                    more = await self.any_frame()
                    assert (more.kind, more.stream) == (Kind.CONTINUATION, found.stream)
                    block, flags = block + more.payload, more.flags
                fields = {str(name): str(value) for name, value in self._decoder.decode(block)}
                self._begun[found.stream] = (fields, b"")
            else:
                fields, body = self._begun[found.stream]
                self._begun[found.stream] = (fields, body + found.payload)
            if found.flags & END_STREAM:
                return Received(found.stream, *self._begun.pop(found.stream))

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    def answer(self, stream: int, status: int = 200, fields: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        block = self._encoder.encode([(":status", str(status)), *fields])
        self.send(frames.headers(stream, block, flags=0 if body else END_STREAM))
        if body:
            self.send(frames.frame(Kind.DATA, body, flags=END_STREAM, stream=stream))

    def encoded(self, *fields: tuple[str, str]) -> bytes:
        return bytes(self._encoder.encode(fields))

    def close(self) -> None:
        self._writer.close()

    def stop_reading(self) -> None:
        """Nor does anything below: the client's bytes stay where they are."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def resume_reading(self) -> None:
        self._writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def until_left(self) -> Frame | None:
        """The GOAWAY of the client, None if it closes without."""
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            return await self.frame(Kind.GOAWAY)
        return None


Script = Callable[[Talk], Awaitable[None]]


class Peer:
    """Runs a script for each connection, the last one for all that come later; `failed` has what a script raised."""

    def __init__(self, origin: str, scripts: list[Script]) -> None:
        self.origin = origin
        self.talks: list[Talk] = []
        self.failed: list[BaseException] = []
        self._scripts = scripts

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = Talk(reader, writer)
        script = self._scripts[min(len(self.talks), len(self._scripts) - 1)]
        self.talks.append(talk)
        try:
            await script(talk)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has left
        except Exception as error:
            self.failed.append(error)
        finally:
            writer.close()


RawScript = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def network(*scripts: RawScript) -> AsyncIterator[str]:
    """The origin of a port without TLS that runs a script for each connection, the last one for all that come later."""
    left = list(scripts)
    running = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        try:
            await (left.pop(0) if len(left) > 1 else left[0])(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for each in running:
            if each is not None:
                each.cancel()
        await asyncio.sleep(0)


def relay(peer: "Peer", *, chunk: int = 1 << 16) -> RawScript:
    """To the peer and back, so many bytes at a time."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(chunk):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection("127.0.0.1", int(peer.origin.rpartition(":")[2]))
        try:
            await asyncio.gather(copy(reader, behind[1]), copy(behind[0], writer))
        finally:
            behind[1].transport.abort()

    return script


@asynccontextmanager
async def scripted(authority: Authority, *scripts: Script) -> AsyncIterator[Peer]:
    """A peer; what went wrong in a script is raised at the end."""
    peer = Peer("", list(scripts))
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=authority.server_context(["h2"]))
    peer.origin = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()
    for error in peer.failed:
        raise error
