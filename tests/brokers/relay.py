"""A TCP relay between a client and a server, with the faults of a network: cut, stall, refuse."""

import asyncio
from collections.abc import Callable
from typing import Self

Passing = Callable[[bytes], tuple[bytes, bool]]
"""What of these bytes is passed on, and whether the connection is cut then."""


class Relay:
    """Listens on 127.0.0.1 (`port`, once entered) and passes bytes on to `target` on the same host.

    Faults hold for connections that are open and for new ones, until taken back.
    """

    def __init__(self, target: int, *, port: int = 0) -> None:
        self.port = port
        self._target = target
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._refusing = True  # what was taken in, and has not begun, ends as it begins
        self._server.close()
        await asyncio.sleep(0)
        await self.cut()

    async def cut(self) -> None:
        """Break every open connection; new ones are taken."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def stall(self) -> None:
        """Keep connections open and pass nothing on, as a dead peer behind a firewall does."""
        self._flowing.clear()

    def flow(self) -> None:
        """End of `stall`; what was held back goes on."""
        self._flowing.set()

    def refuse(self, refusing: bool = True) -> None:
        """Hang up on new connections at once."""
        self._refusing = refusing

    def _passing(self) -> tuple[Passing, Passing]:
        """For a new connection: from the client, and from the server."""
        return _all, _all

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            from_client, from_server = self._passing()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                async with asyncio.TaskGroup() as ways:
                    ways.create_task(self._pass(reader, far_writer, from_client))
                    ways.create_task(self._pass(far_reader, writer, from_server))
            finally:
                far_writer.transport.abort()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passing: Passing) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            passed, is_cut = passing(data)
            writer.write(passed)
            await writer.drain()
            if is_cut:
                raise ConnectionAbortedError
        writer.write_eof()


def _all(data: bytes) -> tuple[bytes, bool]:
    return data, False
