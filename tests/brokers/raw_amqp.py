"""Publishes to RabbitMQ with properties that are bytes: what no client library would write (AMQP 0-9-1, section 4.2)."""

import socket
import struct
from collections.abc import Mapping
from types import TracebackType
from typing import Self

METHOD, HEADER, BODY, END = 1, 2, 3, b"\xce"
BASIC = 60
HEADERS_FLAG = 1 << 13


class RefusedError(Exception):
    """The broker closed the connection or channel over what was sent."""


class RawPublisher:
    """`with RawPublisher(port) as publisher: publisher.publish(...)`; as guest, with confirms."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._received = b""
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._expect(10, 10)
        plain = b"\x00guest\x00guest"
        self._method(0, 10, 11, table(b"") + short("PLAIN") + struct.pack(">I", len(plain)) + plain + short("en_US"))
        tune = self._expect(10, 30)
        self._method(0, 10, 31, tune[:6] + b"\x00\x00")  # what it offers, without heartbeats
        self._method(0, 10, 40, short("/") + short("") + b"\x00")
        self._expect(10, 41)
        self._method(1, 20, 10, short(""))
        self._expect(20, 11)
        self._method(1, 85, 10, b"\x00")
        self._expect(85, 11)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def publish(self, queue: str, body: bytes, properties: bytes, *, exchange: str = "", key: bytes = b"") -> None:
        """Publish one message and return when the broker has confirmed it. Raises: RefusedError."""
        routing_key = key or queue.encode()
        self._method(1, BASIC, 40, b"\x00\x00" + short(exchange) + short(routing_key) + b"\x00")
        self._frame(HEADER, 1, struct.pack(">HHQ", BASIC, 0, len(body)) + properties)
        if body:
            self._frame(BODY, 1, body)
        self._expect(BASIC, 80)

    def _method(self, channel: int, class_id: int, method_id: int, arguments: bytes) -> None:
        self._frame(METHOD, channel, struct.pack(">HH", class_id, method_id) + arguments)

    def _frame(self, kind: int, channel: int, payload: bytes) -> None:
        self._socket.sendall(struct.pack(">BHI", kind, channel, len(payload)) + payload + END)

    def _expect(self, class_id: int, method_id: int) -> bytes:
        """The arguments of the method that comes next."""
        while True:
            kind, _, size = struct.unpack(">BHI", self._read(7))
            payload = self._read(size + 1)[:-1]
            if kind == METHOD:
                break
        found = struct.unpack(">HH", payload[:4])
        if found != (class_id, method_id):
            raise RefusedError(f"{found}: {payload[4:]!r}")
        return payload[4:]

    def _read(self, size: int) -> bytes:
        while len(self._received) < size:
            more = self._socket.recv(65536)
            if not more:
                raise RefusedError("the broker hung up")
            self._received += more
        taken, self._received = self._received[:size], self._received[size:]
        return taken


def short(text: str | bytes) -> bytes:
    """A short string."""
    value = text if isinstance(text, bytes) else text.encode()
    return bytes([len(value)]) + value


def table(entries: bytes) -> bytes:
    """A table of entries that are encoded already."""
    return struct.pack(">I", len(entries)) + entries


def entry(name: str | bytes, value: bytes) -> bytes:
    """An entry of a table; `value` begins with its type."""
    return short(name) + value


def with_headers(entries: bytes) -> bytes:
    """Properties that hold nothing but these headers."""
    return struct.pack(">H", HEADERS_FLAG) + table(entries)


def with_properties(flags_and_values: Mapping[int, bytes]) -> bytes:
    """Properties by the bit of their flag (15 is the content type), encoded already."""
    flags = sum(1 << bit for bit in flags_and_values)
    return struct.pack(">H", flags) + b"".join(flags_and_values[bit] for bit in sorted(flags_and_values, reverse=True))


def nested(kind: str, levels: int, innermost: bytes = b"V") -> bytes:
    """A value within so many tables (`F`) or arrays (`A`)."""
    value = innermost
    for _ in range(levels):
        inside = entry("n", value) if kind == "F" else value
        value = kind.encode() + struct.pack(">I", len(inside)) + inside
    return value
