"""An HTTPS listener on loopback that speaks what ALPN agreed on."""

import asyncio
import ssl
from typing import Literal, cast

from sandbox.connection import Connection, Handler
from sandbox.faults import Faults
from sandbox.http1 import Http1Connection
from sandbox.http2 import Http2Connection

HOST = "127.0.0.1"

Version = Literal["h2", "http/1.1"]


class HttpServer:
    """Serves `versions`, the preferred first; a client that does not negotiate is taken to speak the last of them."""

    def __init__(
        self,
        handle: Handler,
        *,
        faults: Faults,
        context: ssl.SSLContext,
        versions: tuple[Version, ...],
        max_streams: int,
    ) -> None:
        self.max_streams = max_streams
        self.versions = versions
        self.connections: set[Connection] = set()
        self._handle = handle
        self._faults = faults
        self._context = context
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port, known once started."""
        return self._port

    async def start(self, port: int = 0) -> None:
        """Listen; 0 takes any free port.

        Raises: OSError: the port is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Handshake(self), HOST, port, ssl=self._context, backlog=1024)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and break every connection off; may be called twice."""
        if self._server is None:
            return
        self._server.close()
        connections = list(self.connections)
        for connection in connections:
            connection.abort()
        await asyncio.gather(*(connection.lost for connection in connections))
        self._server = None

    def connection(self, version: Version) -> Connection:
        """The protocol for a client that speaks `version`."""
        if version == "h2":
            return Http2Connection(self._handle, self._faults, self.connections, max_streams=self.max_streams)
        return Http1Connection(self._handle, self._faults, self.connections)


class _Handshake(asyncio.Protocol):
    """Steps aside for the right protocol as soon as TLS has agreed on one."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's own does not inherit from it
        agreed: Version | None = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        connection = self._server.connection(agreed or self._server.versions[-1])
        transport.set_protocol(connection)
        connection.connection_made(transport)
