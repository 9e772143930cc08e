"""One port for all: AMQP and HTTP, plain or in TLS, told apart by the first byte that a client sends.

That byte is peeked at, so whoever takes the connection reads it again: 0x16 begins a TLS handshake (RFC 8446 section
5.1), "A" the AMQP header, and no method of HTTP that is used here begins with "A".
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import cast

HOST = "127.0.0.1"

_TLS_HANDSHAKE = 0x16
_POLL = 0.01
"""Seconds between two looks for a first byte, which nearly always is there at the first: clients speak first."""

Factory = Callable[[], asyncio.Protocol]


class Listener:
    """Accepts on loopback, and gives each connection to the protocol that its client speaks."""

    def __init__(self, *, amqp: Factory, http: Factory, context: ssl.SSLContext) -> None:
        self._amqp = amqp
        self._http = http
        self._context = context
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent: set[asyncio.Transport] = set()

    def start(self, port: int) -> int:
        """Listen; 0 takes any free port. Returns the port.

        Raises: OSError: the port is taken.
        """
        listening = socket.create_server((HOST, port), backlog=256)
        listening.setblocking(False)
        self._socket = listening
        self._run(self._accept(listening))
        return int(listening.getsockname()[1])

    async def stop(self) -> None:
        """Accept nobody any more, and break off who has said nothing yet; may be called twice."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for transport in list(self._silent):
            transport.abort()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listening)
            self._run(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        """Find out whether it is TLS, and hand over."""
        try:
            encrypted = await _first_byte(client) == _TLS_HANDSHAKE
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Chooser(self._amqp, self._http, self._silent), client, ssl=self._context if encrypted else None
            )
        except OSError:  # TLS errors are of this kind too
            client.close()
        except asyncio.CancelledError:
            client.close()
            raise

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Chooser(asyncio.Protocol):
    """Steps aside for the right protocol as soon as something is said."""

    def __init__(self, amqp: Factory, http: Factory, silent: set[asyncio.Transport]) -> None:
        self._amqp = amqp
        self._http = http
        self._silent = silent
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own does not inherit from it
        self._silent.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._silent.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._silent.discard(self._transport)
        chosen = self._amqp() if data.startswith(b"A") else self._http()
        self._transport.set_protocol(chosen)
        chosen.connection_made(self._transport)
        chosen.data_received(data)


async def _first_byte(client: socket.socket) -> int:
    """The first byte, left where it is. Raises: OSError: the client has gone without a word."""
    while True:
        try:
            peeked = client.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            await asyncio.sleep(_POLL)
            continue
        if not peeked:
            raise ConnectionError("the client has said nothing")
        return peeked[0]
