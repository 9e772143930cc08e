"""Frames of HTTP/2 (RFC 9113, sections 4 and 6), as bytes."""

import struct
from collections.abc import Sequence
from enum import IntEnum
from operator import eq
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD: Final = struct.Struct(">HBBBI")
"""Length (the upper 16 bits, the lower 8), kind, flags, stream."""
HEAD_SIZE: Final = 9
KNOWN: Final = 5
"""Bytes of a head before its stream: length, kind and flags."""
_TOGETHER: Final = 256
"""Frames that are looked at together, at most."""
FRAME_SIZE: Final = 16_384
"""Bytes of a frame's payload at most, unless the other side takes more."""
WINDOW: Final = 65_535
"""Bytes that may be on their way on a new connection and a new stream."""
MAX_WINDOW: Final = 2**31 - 1
MAX_STREAM: Final = 2**31 - 1

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20


class Kind(IntEnum):
    """Types of frames."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


_RESET_HEAD: Final = HEAD.pack(0, 4, Kind.RST_STREAM, 0, 0)[:KNOWN]
_RESET: Final = HEAD_SIZE + 4
"""Bytes of a RST_STREAM."""


class Setting(IntEnum):
    """What a SETTINGS frame says."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Code(IntEnum):
    """Why a stream or a connection ends (RFC 9113, section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


def code_name(code: int) -> str:
    """The name of an error code, or its number where it has none."""
    try:
        return Code(code).name
    except ValueError:
        return str(code)


def frame(kind: Kind, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """One frame."""
    length = len(payload)
    return HEAD.pack(length >> 8, length & 255, kind, flags, stream) + payload


def settings(values: dict[Setting, int]) -> bytes:
    return frame(Kind.SETTINGS, b"".join(struct.pack(">HI", name, value) for name, value in values.items()))


def window_update(stream: int, by: int) -> bytes:
    return frame(Kind.WINDOW_UPDATE, struct.pack(">I", by), stream=stream)


def reset(stream: int, code: Code) -> bytes:
    return frame(Kind.RST_STREAM, struct.pack(">I", code), stream=stream)


def goaway(code: Code, words: str = "") -> bytes:
    """Of a client that takes no streams."""
    return frame(Kind.GOAWAY, struct.pack(">II", 0, code) + words.encode())


def headers(stream: int, block: bytes, *, flags: int = 0, size: int = FRAME_SIZE) -> bytes:
    """A header block in as many frames as it takes."""
    if len(block) <= size:
        return frame(Kind.HEADERS, block, flags=flags | END_HEADERS, stream=stream)
    parts = [block[first : first + size] for first in range(0, len(block), size)]
    last = len(parts) - 1
    return frame(Kind.HEADERS, parts[0], flags=flags, stream=stream) + b"".join(
        frame(Kind.CONTINUATION, part, flags=END_HEADERS if number == last else 0, stream=stream)
        for number, part in enumerate(parts[1:], 1)
    )


def unpadded(flags: int, payload: bytes) -> bytes:
    """The payload of DATA or HEADERS without padding and priority. Raises: ValueError: the padding is too long."""
    padding = first = 0
    if flags & PADDED:
        if not payload:
            raise ValueError("padding without a length")
        padding, first = payload[0], 1
    if flags & PRIORITY:
        first += 5
    if first + padding > len(payload):
        raise ValueError("padding longer than the frame")
    return payload[first : len(payload) - padding]


def answers_alike(data: bytes, at: int, end: int) -> tuple[Sequence[int], int]:
    """The streams of the frames from `at` on that are as the first, which ends at `end`, and where the last of them ends.

    They follow one another, have one size, and kind, flags and first byte of payload of the first. Where behind the first
    comes a RST_STREAM, as of a service that answers before it has read a body, each has one of its own behind it. Streams
    are named where there are two at least: one is quicker looked at by itself.

    Each byte that such frames share is a column; a loop would look at each frame by itself.
    """
    size = end - at
    is_reset = data.startswith(_RESET_HEAD, end)
    unit = size + _RESET if is_reset else size
    if not data.startswith(data[at : at + KNOWN], at + unit):
        return (), at
    count = min((len(data) - at) // unit, _TOGETHER)
    shared = (*range(KNOWN), HEAD_SIZE, *(range(size, size + KNOWN) if is_reset else ()))
    for place in shared:
        column = data[at + place : at + count * unit : unit]
        count -= len(column.lstrip(column[:1]))
    form = f">{KNOWN}xI{size - HEAD_SIZE}x" + (f"{KNOWN}xI4x" if is_reset else "")
    streams, *resets = zip(*struct.iter_unpack(form, data[at : at + count * unit]), strict=True)
    if resets and resets[0] != streams:  # one is of another stream
        same = list(map(eq, streams, resets[0]))
        streams = streams[: same.index(False)]
    return streams, at + len(streams) * unit
