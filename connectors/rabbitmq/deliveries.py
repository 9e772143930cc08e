"""Deliveries of AMQP 0-9-1, read from the bytes that a broker sent (pure)."""

import struct
from struct import Struct
from typing import NamedTuple

_METHOD = Struct(">BHIHH")
"""Type, channel and size of a frame; class and number of a method (AMQP 0-9-1, section 4.2.4)."""
_HEADER = Struct(">BHIHHQ")
"""Type, channel and size of a frame; class, weight and body size of a content header (section 4.2.6.1)."""
_BODY = Struct(">BHI")
"""Type, channel and size of a frame."""
_TAG = Struct(">QB")
"""The delivery tag, and whether the message was delivered before."""

_METHOD_FRAME, _HEADER_FRAME, _BODY_FRAME, _FRAME_END = 1, 2, 3, 0xCE
_BASIC, _DELIVER = 60, 60


class Delivery(NamedTuple):
    """A message for a consumer, under the names that pika has for its parts; the next frame begins at `end`."""

    channel: int
    consumer_tag: str
    delivery_tag: int
    redelivered: bool
    exchange: bytes
    routing_key: bytes
    properties: bytes
    body: bytes
    end: int


def read_delivery(received: bytes, at: int) -> Delivery | None:
    """The delivery that begins at `at`; None where another frame begins, or the delivery has not come whole.

    A body in several frames counts as not whole, as does what is not as the standard says.
    """
    try:
        return _read(received, at)
    except (struct.error, IndexError, UnicodeDecodeError):
        return None


def _read(received: bytes, at: int) -> Delivery | None:
    """Raises: struct.error, IndexError: there is more to come."""
    kind, channel, size, class_id, method = _METHOD.unpack_from(received, at)
    if kind != _METHOD_FRAME or class_id != _BASIC or method != _DELIVER:
        return None
    end = at + _BODY.size + size
    kind, of_header, size, _, _, body_size = _HEADER.unpack_from(received, end + 1)
    properties, behind = end + 1 + _HEADER.size, end + 1 + _BODY.size + size
    if kind != _HEADER_FRAME or of_header != channel or received[end] != _FRAME_END or received[behind] != _FRAME_END:
        return None
    body = last = behind + 1
    if body_size:
        body += _BODY.size
        last = body + body_size + 1
        if _BODY.unpack_from(received, behind + 1) != (_BODY_FRAME, channel, body_size):
            return None
        if received[last - 1] != _FRAME_END:
            return None
    first = at + _METHOD.size + 1
    consumer = first + received[first - 1]
    tag, flags = _TAG.unpack_from(received, consumer)
    exchange = consumer + _TAG.size + 1
    routing_key = exchange + received[exchange - 1] + 1
    if routing_key + received[routing_key - 1] != end:
        return None
    return Delivery(
        channel,
        received[first:consumer].decode(),
        tag,
        bool(flags & 1),
        received[exchange : routing_key - 1],
        received[routing_key:end],
        received[properties:behind],
        received[body : body + body_size],
        last,
    )
