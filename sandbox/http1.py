"""The server's side of one HTTP/1.1 connection (RFC 9112): requests with a Content-Length, one at a time."""

import re
from http import HTTPStatus

from sandbox.connection import MAX_BODY, Connection, Handler
from sandbox.exchange import Answer, Exchange
from sandbox.faults import Faults

MAX_HEAD = 16 * 1024
"""Bytes a request line and headers may have."""


class Http1Exchange(Exchange):
    """A request and the connection it waits on."""

    __slots__ = ("_body", "_connection", "length")

    def __init__(
        self, connection: "Http1Connection", method: str, path: str, headers: dict[str, str], *, repeated: bool
    ) -> None:
        super().__init__(method, path, headers, repeated=repeated, chunked="transfer-encoding" in headers)
        self._connection = connection
        self._body = b""
        self.length = int(headers.get("content-length", "0"))

    @property
    def connection(self) -> "Http1Connection":
        return self._connection

    @property
    def body(self) -> bytes:
        return self._body

    @body.setter
    def body(self, body: bytes) -> None:
        self._body = body

    def answer(self, answer: Answer) -> None:
        self._connection.send(self, answer)


class Http1Connection(Connection):
    """Answers the requests of one client.

    What the stand-ins' originals do not do either: chunked bodies are left unread, `Expect` is refused, and a client
    that pipelines gets its first answer and the end of the connection.
    """

    def __init__(self, handle: Handler, faults: Faults, connections: set[Connection]) -> None:
        super().__init__(handle, faults, connections)
        self._buffer = bytearray()
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
        self._buffer += data
        try:
            exchange = self._request()
        except _BadRequestError as error:
            self._transport.write(_head(error.status, (), 0, last=True))
            self._transport.close()
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
        """The next request if it is complete, or complete enough to be refused."""
        if self._reading is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD:
                    raise _BadRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return None
            self._reading = self._parsed(bytes(self._buffer[:end]).decode("latin-1"))
            del self._buffer[: end + 4]
        exchange = self._reading
        if exchange.chunked or exchange.length > MAX_BODY:
            self._last = True
        if not exchange.chunked and len(self._buffer) < min(exchange.length, MAX_BODY):
            return None
        if not exchange.chunked:
            exchange.body = bytes(self._buffer[: exchange.length])
            del self._buffer[: exchange.length]
        self._last = self._last or bool(self._buffer)
        self._reading = None
        return exchange

    def _parsed(self, head: str) -> Http1Exchange:
        request_line, *lines = head.split("\r\n")
        match request_line.split(" "):
            case [method, path, "HTTP/1.1"]:
                pass
            case _:
                raise _BadRequestError(HTTPStatus.BAD_REQUEST)
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip():
                raise _BadRequestError(HTTPStatus.BAD_REQUEST)
            headers[name.lower()] = value.strip()
        if "host" not in headers or not re.fullmatch("[0-9]{1,18}", headers.get("content-length", "0")):
            raise _BadRequestError(HTTPStatus.BAD_REQUEST)
        if "expect" in headers:
            raise _BadRequestError(HTTPStatus.EXPECTATION_FAILED)
        self._last = headers.get("connection", "").lower() == "close"
        return Http1Exchange(self, method, path, headers, repeated=len(headers) < len(lines))

    def _is_enough(self) -> bool:
        requests = self._faults.goaway_after_requests
        return (requests is not None and self._requests >= requests) or not self._faults.takes_stream()

    def send(self, exchange: Http1Exchange, answer: Answer) -> None:
        """Answer the request, unless the connection is gone."""
        if self._answering is not exchange or self.lost.done() or self._in_black_hole():
            return
        self._answering = None
        body = b"".join(answer.body)
        self._transport.write(_head(HTTPStatus(answer.status), answer.headers, len(body), last=self._last) + body)
        if self._last:
            self._transport.close()

    def goaway(self, *, reason: str = "") -> None:
        """End it after the answer under way, HTTP/1.1 having no better word; `reason` has no place in it."""
        self._last = True
        if self._answering is None:
            self._transport.close()

    def limit_streams(self, streams: int) -> None:
        """One at a time is all there is."""


class _BadRequestError(Exception):
    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


def _head(status: HTTPStatus, headers: tuple[tuple[str, str], ...], length: int, *, last: bool) -> bytes:
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", f"content-length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if last:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
