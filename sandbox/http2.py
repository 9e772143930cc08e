"""The server's side of one HTTP/2 connection (RFC 9113), strict about streams and honest about flow control."""

import asyncio
import json
import re
import struct
from collections import deque
from collections.abc import Sequence

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from sandbox.connection import MAX_BODY, Connection, Handler
from sandbox.exchange import Answer, Exchange
from sandbox.faults import Faults

MAX_HEADER_LIST = 8000
"""Bytes of headers a request may have, as Apple announces it."""

GROSS_EXCESS = 100
"""How many streams over a limit that the client has acknowledged are refused one by one before the connection ends."""

LINGER = 1.0
"""Seconds the client has to read its last answers after a GOAWAY; closing at once could reset them away."""

CONFIG = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_inbound_headers=False,  # `_is_malformed` does it in a tenth of the time
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


ILLEGAL_IN_NAME = re.compile(rb"[^\n!#$%&'*+.^_`|~0-9a-z:-]")
ILLEGAL_IN_VALUE = re.compile(rb"[\x00\r\n]")
CONNECTION_HEADERS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))


def _is_malformed(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a request breaks the rules of RFC 9113 sections 8.2 and 8.3."""
    names = [name for name, _ in headers]
    pseudo = [name for name in names if name.startswith(b":")]
    return (
        names[: len(pseudo)] != pseudo
        or sorted(pseudo) not in ([b":authority", b":method", b":path", b":scheme"], [b":method", b":path", b":scheme"])
        or ILLEGAL_IN_NAME.search(b"\n".join(names)) is not None
        or ILLEGAL_IN_VALUE.search(b" ".join(value for _, value in headers)) is not None
        or not CONNECTION_HEADERS.isdisjoint(names)
    )


class _H2(H2Connection):
    """h2 without its own stream limit, which ends the connection where a push service refuses the stream.

    h2 asks for `open_inbound_streams` once a request and walks over all streams for it, forgetting closed ones on the
    way; a walk every few hundred requests is enough for that.
    """

    _asked = 0

    @property
    def open_inbound_streams(self) -> int:
        self._asked += 1
        if self._asked % 256 == 0:
            self._open_streams(remainder=1)
        return 0


class Http2Exchange(Exchange):
    """A stream."""

    __slots__ = ("_connection", "ended", "id", "received", "to_send")

    def __init__(self, connection: "Http2Connection", stream_id: int, raw: Sequence[tuple[bytes, bytes]]) -> None:
        fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
        repeated = len(fields) < len(raw)
        method, path = fields.pop(":method"), fields.pop(":path")
        del fields[":scheme"]
        fields.pop(":authority", None)
        super().__init__(method, path, fields, repeated=repeated)
        self._connection = connection
        self.id = stream_id
        self.received = bytearray()
        self.to_send: deque[bytes] = deque()
        self.ended = False

    @property
    def connection(self) -> "Http2Connection":
        return self._connection

    @property
    def body(self) -> bytes:
        return bytes(self.received)

    def answer(self, answer: Answer) -> None:
        self._connection.send(self, answer)


class Http2Connection(Connection):
    """Answers the requests of one client; excess streams are refused, later much excess ends the connection.

    All requests of one read are counted before the first of them is answered, else a client that opens too many at
    once would go unnoticed; and all that is answered in one turn of the event loop is one write.
    """

    def __init__(self, handle: Handler, faults: Faults, connections: set[Connection], *, max_streams: int) -> None:
        super().__init__(handle, faults, connections)
        self._h2 = _H2(CONFIG)
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: max_streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST,
            },
        )
        self._h2.decoder.max_header_list_size = MAX_HEADER_LIST
        self._limits = deque([max_streams, max_streams])  # in force, then announced and not yet acknowledged
        self._streams: dict[int, Http2Exchange] = {}
        self._blocked: dict[int, Http2Exchange] = {}
        self._requests = 0
        self._refused = 0
        self._newest = 0
        self._last_stream: int | None = None
        self._write_is_due = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._h2.initiate_connection()
        self._write()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def _end(self) -> None:
        """Close, and forget the streams: h2 takes no answer for them any more."""
        self._streams.clear()
        self._blocked.clear()
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._in_black_hole():
            return
        self._write_is_due = True
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:  # h2 has a GOAWAY ready that says which
            self._write()
            self._end()
            return
        complete: list[Http2Exchange] = []
        for event in events:
            self._take(event, complete)
        for exchange in complete:
            self._handle(exchange)
        self._write()

    def _take(self, event: Event, complete: list[Http2Exchange]) -> None:
        match event:
            case RequestReceived(stream_id=stream_id, headers=headers):
                self._open(stream_id, headers)
            case DataReceived(stream_id=stream_id, data=data, flow_controlled_length=size):
                exchange = self._streams.get(stream_id)
                if exchange is not None and len(exchange.received) < MAX_BODY:
                    exchange.received += data
                    if len(exchange.received) >= MAX_BODY:
                        complete.append(exchange)
                self._give_back(size, stream_id)
            case StreamEnded(stream_id=stream_id):
                exchange = self._streams.get(stream_id)
                if exchange is not None:
                    exchange.ended = True
                    if len(exchange.received) < MAX_BODY:
                        complete.append(exchange)
            case WindowUpdated(stream_id=stream_id) if stream_id in self._blocked:
                self._send_body(self._blocked[stream_id])
            case WindowUpdated(stream_id=0) | RemoteSettingsChanged():
                for exchange in list(self._blocked.values()):
                    self._send_body(exchange)
            case StreamReset(stream_id=stream_id):
                self._streams.pop(stream_id, None)
                self._blocked.pop(stream_id, None)
            case SettingsAcknowledged() if len(self._limits) > 1:
                self._limits.popleft()
            case ConnectionTerminated():
                self._end()

    def _open(self, stream_id: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        requests = self._faults.goaway_after_requests
        if requests is not None and self._requests >= requests and self._last_stream is None:
            self.goaway(reason=self._faults.goaway_reason)
        if self._last_stream is not None and stream_id > self._last_stream:
            return
        if len(self._streams) >= max(self._limits):
            self._h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
            if len(self._limits) == 1:
                self._refused += 1
                if self._refused > GROSS_EXCESS:
                    self._go_away("exceeded_max_concurrent_streams", ErrorCodes.ENHANCE_YOUR_CALM)
        elif not self._faults.takes_stream():
            self._h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
        elif _is_malformed(headers):
            self._h2.reset_stream(stream_id, ErrorCodes.PROTOCOL_ERROR)
        else:
            self._requests += 1
            self._newest = stream_id
            self._streams[stream_id] = Http2Exchange(self, stream_id, headers)

    def _give_back(self, size: int, stream_id: int) -> None:
        if self._faults.window_update_delay:
            delay = self._faults.window_update_delay
            asyncio.get_running_loop().call_later(delay, self._give_back_now, size, stream_id)
        else:
            self._give_back_now(size, stream_id)

    def _give_back_now(self, size: int, stream_id: int) -> None:
        if size and not self._transport.is_closing():
            self._h2.acknowledge_received_data(size, stream_id)
            self._write_soon()

    def send(self, exchange: Http2Exchange, answer: Answer) -> None:
        """Answer a stream, unless it was reset or the connection is gone."""
        if self._streams.get(exchange.id) is not exchange:
            return
        headers = [(":status", str(answer.status)), *answer.headers]
        self._h2.send_headers(exchange.id, headers, end_stream=not answer.body)
        exchange.to_send.extend(answer.body)
        self._send_body(exchange)
        self._write_soon()

    def _send_body(self, exchange: Http2Exchange) -> None:
        """Send as much as the client's windows take; the rest waits for its WINDOW_UPDATE."""
        while exchange.to_send:
            piece = exchange.to_send.popleft()
            size = min(self._h2.local_flow_control_window(exchange.id), self._h2.max_outbound_frame_size)
            if size <= 0:
                exchange.to_send.appendleft(piece)
                self._blocked[exchange.id] = exchange
                return
            if len(piece) > size:
                exchange.to_send.appendleft(piece[size:])
            self._h2.send_data(exchange.id, piece[:size], end_stream=not exchange.to_send)
        self._blocked.pop(exchange.id, None)
        del self._streams[exchange.id]
        if not exchange.ended:  # answered early: the rest of the request is not wanted (RFC 9113 section 8.1)
            self._h2.reset_stream(exchange.id, ErrorCodes.NO_ERROR)
        if self._last_stream is not None and not self._streams:
            self._linger()

    def limit_streams(self, streams: int) -> None:
        """Announce another MAX_CONCURRENT_STREAMS; a lower one binds the client once it has acknowledged it."""
        if self._transport.is_closing():
            return
        self._limits.append(streams)
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})
        self._write_soon()

    def goaway(self, *, reason: str = "") -> None:
        self._go_away(reason, ErrorCodes.NO_ERROR)

    def _go_away(self, reason: str, error: ErrorCodes) -> None:
        """Send GOAWAY: streams above the newest one taken are ignored (RFC 9113 section 6.8).

        The frame is put together here, because h2 takes its own GOAWAY for the end and answers nothing after it.
        """
        if self._transport.is_closing():
            return
        self._last_stream = self._newest
        debug = json.dumps({"reason": reason}).encode() if reason else b""
        payload = struct.pack(">II", self._last_stream, error) + debug
        self._write()
        self._transport.write(struct.pack(">I", len(payload))[1:] + b"\x07\x00" + bytes(4) + payload)
        if not self._streams:
            self._linger()

    def _linger(self) -> None:
        asyncio.get_running_loop().call_later(LINGER, self._transport.close)

    def _write_soon(self) -> None:
        if not self._write_is_due:
            self._write_is_due = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        self._write_is_due = False
        data = self._h2.data_to_send()
        # The client may be gone by now, and a TLS transport that is closed fails on a write.
        if data and not self._in_black_hole() and not self._transport.is_closing():
            self._transport.write(data)
