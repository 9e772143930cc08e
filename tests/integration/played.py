"""A server over TLS that a test plays itself: what it is asked is kept or answered by the test's own code."""

from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.exchange import Exchange
from sandbox.faults import Faults
from sandbox.server import HttpServer
from sandbox.tls import Authority


class PlayedServer:
    """`async with` it; a subclass says in `serve` what it does with a request. It speaks HTTP/1.1."""

    def __init__(self, directory: Path) -> None:
        """With a certificate of an authority of its own, which lives in a directory that is there."""
        self.authority = Authority(directory)
        context = self.authority.server_context(["http/1.1"])
        self._server = HttpServer(self.serve, faults=Faults(), context=context, versions=("http/1.1",), max_streams=100)

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.stop()

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def ca_file(self) -> Path:
        return self.authority.ca_file

    def serve(self, exchange: Exchange) -> None:
        raise NotImplementedError
