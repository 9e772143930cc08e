"""An HTTPS listener on loopback that speaks what ALPN agreed on: h11 reads HTTP/1.1, `http2.py` the other version."""

import asyncio
import re
import ssl
from http import HTTPStatus
from typing import Literal, cast

import h11

from sandbox.connection import MAX_BODY, Connection, Handler
from sandbox.exchange import Answer, Exchange
from sandbox.faults import Faults
from sandbox.http2 import Http2Connection
from sandbox.tls import ServerContext

HOST = "127.0.0.1"

MAX_HEAD = 16 * 1024
"""Bytes a request line and headers of HTTP/1.1 may have."""

_LOOSE_LINE = re.compile(rb"(?<!\r)\n|\n[ \t]")
"""A line end without a carriage return, or a folded header: h11 reads both, the stand-ins' originals do not."""

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
        if isinstance(context, ServerContext):
            context.has_expired = lambda: faults.certificate_has_expired
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


class Http1Exchange(Exchange):
    """A request and the connection it waits on."""

    __slots__ = ("_body", "_connection", "length")

    def __init__(self, connection: "Http1Connection", request: h11.Request) -> None:
        fields = [(name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers]
        headers = dict(fields)
        super().__init__(
            request.method.decode("ascii"),
            request.target.decode("ascii"),
            headers,
            repeated=len(headers) < len(fields),
            chunked="transfer-encoding" in headers,
        )
        self._connection = connection
        self._body = bytearray()
        self.length = int(headers.get("content-length", "0"))

    @property
    def connection(self) -> "Http1Connection":
        return self._connection

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    def extend(self, data: bytes) -> None:
        """Add a piece of the body."""
        self._body += data

    def answer(self, answer: Answer) -> None:
        self._connection.send(self, answer)


class Http1Connection(Connection):
    """Answers the requests of one client, one at a time (RFC 9112).

    h11 reads each request with a machine of its own, which costs a microsecond to make. Answers are ours, and having
    h11 check them would take as long as the reading.

    What the stand-ins' originals do not do either: chunked bodies are left unread, `Expect` is refused, and a client
    that pipelines gets its first answer and the end of the connection.
    """

    def __init__(self, handle: Handler, faults: Faults, connections: set[Connection]) -> None:
        super().__init__(handle, faults, connections)
        self._http = h11.Connection(h11.SERVER, MAX_HEAD)
        self._reading: Http1Exchange | None = None
        self._answering: Http1Exchange | None = None
        self._last = False
        self._requests = 0

    def data_received(self, data: bytes) -> None:
        if self._in_black_hole():
            return
        if self._answering is not None:
            self._last = True
            return
        try:
            self._http.receive_data(data)
            exchange = self._request()
        except h11.RemoteProtocolError as error:
            self._last = True
            self._write(Answer(status=error.error_status_hint))
            return
        if exchange is None:
            return
        if self._is_enough():
            self._transport.close()
            return
        self._requests += 1
        self._answering = exchange
        self._handle(exchange)

    def _request(self) -> Http1Exchange | None:
        """The next request if it is complete, or complete enough to be refused.

        Raises: h11.RemoteProtocolError.
        """
        if self._reading is None:
            self._reading = self._head()
            if self._reading is None:
                return None
        exchange = self._reading
        if exchange.chunked or exchange.length > MAX_BODY:
            self._last = True
        if not exchange.chunked and not self._read_body(exchange):
            return None
        self._last = self._last or self._http.their_state is h11.MUST_CLOSE or bool(self._http.trailing_data[0])
        self._http = h11.Connection(h11.SERVER, MAX_HEAD)
        self._reading = None
        return exchange

    def _head(self) -> Http1Exchange | None:
        received = self._http.trailing_data[0]
        request = self._http.next_event()
        if not isinstance(request, h11.Request):
            return None
        head, end, _ = received.partition(b"\r\n\r\n")
        if not end or _LOOSE_LINE.search(head) or request.http_version != b"1.1":
            raise h11.RemoteProtocolError("not HTTP/1.1 to the letter", error_status_hint=HTTPStatus.BAD_REQUEST)
        exchange = Http1Exchange(self, request)
        if "expect" in exchange.headers:
            raise h11.RemoteProtocolError("Expect is refused", error_status_hint=HTTPStatus.EXPECTATION_FAILED)
        return exchange

    def _read_body(self, exchange: Http1Exchange) -> bool:
        """Whether the body is complete, or long enough to be refused."""
        while isinstance(event := self._http.next_event(), h11.Data):
            exchange.extend(event.data)
        return isinstance(event, h11.EndOfMessage) or len(exchange.body) >= MAX_BODY

    def _is_enough(self) -> bool:
        requests = self._faults.goaway_after_requests
        return (requests is not None and self._requests >= requests) or not self._faults.takes_stream()

    def send(self, exchange: Http1Exchange, answer: Answer) -> None:
        """Answer the request, unless the connection is gone."""
        if self._answering is not exchange or self.lost.done() or self._in_black_hole():
            return
        self._answering = None
        self._write(answer)

    def _write(self, answer: Answer) -> None:
        status, body = HTTPStatus(answer.status), b"".join(answer.body)
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if self._last:
            lines.append("connection: close")
        self._transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        if self._last:
            self._transport.close()

    def goaway(self, *, reason: str = "") -> None:
        """End it after the answer under way, HTTP/1.1 having no better word; `reason` has no place in it."""
        self._last = True
        if self._answering is None:
            self._transport.close()

    def limit_streams(self, streams: int) -> None:
        """One at a time is all there is."""
