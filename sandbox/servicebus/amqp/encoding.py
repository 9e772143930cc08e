"""Values to bytes (part 1, section 6). A type with several forms is written in the shortest."""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sandbox.servicebus.amqp.types import (
    Array,
    Byte,
    Char,
    Decimal,
    Described,
    Float,
    Int,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)


def encode(value: Any) -> bytes:
    """The bytes of one value, constructor included.

    Raises: TypeError: AMQP has no such type; OverflowError: the number does not fit its type.
    """
    try:
        constructed = _CONSTRUCTED[type(value)]
    except KeyError:
        raise TypeError(f"AMQP has no type for {type(value).__name__}") from None
    try:
        return constructed(value)
    except struct.error as error:
        raise OverflowError(f"{value!r} does not fit {type(value).__name__}: {error}") from None


def encode_described(code: int, value: bytes) -> bytes:
    """An encoded value behind a descriptor of the standard's own, in the one form that every client reads."""
    return b"\x00\x53" + bytes((code,)) + value


def encode_list(encoded: Sequence[bytes]) -> bytes:
    """A list of values that are encoded already; never `list0`, which older clients cannot read."""
    return _compound(0xC0, 0xD0, len(encoded), b"".join(encoded))


def _compound(short: int, long: int, count: int, content: bytes) -> bytes:
    if len(content) < 255 and count < 256:
        return bytes((short, len(content) + 1, count)) + content
    return struct.pack(">BII", long, len(content) + 4, count) + content


def _variable(short: int, long: int, content: bytes) -> bytes:
    if len(content) < 256:
        return bytes((short, len(content))) + content
    return struct.pack(">BI", long, len(content)) + content


def _fixed(code: int, layout: str) -> Callable[[Any], bytes]:
    pack = struct.Struct(">B" + layout).pack
    return lambda value: pack(code, value)


def _uint(value: int) -> bytes:
    if value == 0:
        return b"\x43"
    return bytes((0x52, value)) if 0 < value < 256 else struct.pack(">BI", 0x70, value)


def _ulong(value: int) -> bytes:
    if value == 0:
        return b"\x44"
    return bytes((0x53, value)) if 0 < value < 256 else struct.pack(">BQ", 0x80, value)


def _int(value: int) -> bytes:
    return struct.pack(">Bb", 0x54, value) if -128 <= value < 128 else struct.pack(">Bi", 0x71, value)


def _long(value: int) -> bytes:
    return struct.pack(">Bb", 0x55, value) if -128 <= value < 128 else struct.pack(">Bq", 0x81, value)


def _map(value: Mapping[Any, Any]) -> bytes:
    content = b"".join(encode(part) for pair in value.items() for part in pair)
    return _compound(0xC1, 0xD1, 2 * len(value), content)


def _array(value: Array) -> bytes:
    item = _ITEMS[value.code]
    content = b"".join(map(item, value.items))
    return struct.pack(">BIIB", 0xF0, len(content) + 5, len(value.items), value.code) + content


def _decimal(value: Decimal) -> bytes:
    return {4: b"\x74", 8: b"\x84", 16: b"\x94"}[len(value.raw)] + value.raw


def _sized(width: str) -> Callable[[bytes], bytes]:
    size = struct.Struct(">" + width)
    return lambda content: size.pack(len(content)) + content


def _text_item(width: str) -> Callable[[str], bytes]:
    sized = _sized(width)
    return lambda text: sized(text.encode())


_CONSTRUCTED: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    UByte: _fixed(0x50, "B"),
    UShort: _fixed(0x60, "H"),
    UInt: _uint,
    ULong: _ulong,
    Byte: _fixed(0x51, "b"),
    Short: _fixed(0x61, "h"),
    Int: _int,
    int: _long,
    Float: _fixed(0x72, "f"),
    float: _fixed(0x82, "d"),
    Decimal: _decimal,
    Char: lambda value: b"\x73" + value.encode("utf-32-be"),
    Timestamp: _fixed(0x83, "q"),
    UUID: lambda value: b"\x98" + value.bytes,
    bytes: lambda value: _variable(0xA0, 0xB0, value),
    str: lambda value: _variable(0xA1, 0xB1, value.encode()),
    Symbol: lambda value: _variable(0xA3, 0xB3, value.encode("ascii")),
    list: lambda value: encode_list([encode(item) for item in value]),
    dict: _map,
    Array: _array,
    Described: lambda value: b"\x00" + encode(value.descriptor) + encode(value.value),
}

_ITEMS: dict[int, Callable[[Any], bytes]] = {
    0x56: struct.Struct(">?").pack,
    0x50: struct.Struct(">B").pack,
    0x51: struct.Struct(">b").pack,
    0x52: struct.Struct(">B").pack,
    0x53: struct.Struct(">B").pack,
    0x54: struct.Struct(">b").pack,
    0x55: struct.Struct(">b").pack,
    0x60: struct.Struct(">H").pack,
    0x61: struct.Struct(">h").pack,
    0x70: struct.Struct(">I").pack,
    0x71: struct.Struct(">i").pack,
    0x72: struct.Struct(">f").pack,
    0x80: struct.Struct(">Q").pack,
    0x81: struct.Struct(">q").pack,
    0x82: struct.Struct(">d").pack,
    0x83: struct.Struct(">q").pack,
    0x98: lambda value: value.bytes,
    0xA0: _sized("B"),
    0xA1: _text_item("B"),
    0xA3: _text_item("B"),
    0xB0: _sized("I"),
    0xB1: _text_item("I"),
    0xB3: _text_item("I"),
}
"""How an item of an array is written, by the constructor that all of them share."""
