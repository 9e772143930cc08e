"""Frames in and out of a stream (part 2, section 3)."""

import struct
from typing import NamedTuple

from sandbox.servicebus.amqp.errors import DecodeError

AMQP, SASL = 0, 1
PROTOCOL_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
HEARTBEAT = b"\x00\x00\x00\x08\x02\x00\x00\x00"
MAX_FRAME_SIZE = 65_536
"""Bytes that we take in one frame; a full batch comes in several."""

_HEADER = struct.Struct(">IBBH")


class Frame(NamedTuple):
    """One frame; an empty body is a heartbeat."""

    kind: int
    channel: int
    body: bytes


def frame(channel: int, body: bytes, *, kind: int = AMQP) -> bytes:
    """The bytes of a frame."""
    return _HEADER.pack(len(body) + 8, 2, kind, channel) + body


class FrameReader:
    """Cuts a stream into protocol headers and frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._buffer += data

    def protocol_header(self) -> bytes | None:
        """The next eight bytes, once they are there."""
        if len(self._buffer) < 8:
            return None
        header = bytes(self._buffer[:8])
        del self._buffer[:8]
        return header

    def frame(self) -> Frame | None:
        """The next frame, once it is there.

        Raises: DecodeError: its size is impossible.
        """
        if len(self._buffer) < 8:
            return None
        size, offset, kind, channel = _HEADER.unpack_from(self._buffer)
        if not 8 <= size <= MAX_FRAME_SIZE or not 2 <= offset <= size // 4:
            raise DecodeError(f"a frame of {size} bytes with its data at word {offset} is impossible")
        if len(self._buffer) < size:
            return None
        body = bytes(self._buffer[offset * 4 : size])
        del self._buffer[:size]
        return Frame(kind, channel, body)
