"""Bytes to values (part 1, section 6), whatever form they were written in."""

import struct
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sandbox.servicebus.amqp.errors import DecodeError
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

Reader = Callable[[bytes, int], tuple[Any, int]]
"""Reads what follows a constructor: the bytes and where to start; returns the value and where it ended."""


def decode(data: bytes, start: int = 0) -> tuple[Any, int]:
    """The value that begins at `start`, and the index behind it.

    Raises: DecodeError.
    """
    try:
        return _value(data, start)
    except DecodeError:
        raise
    except (IndexError, struct.error):
        raise DecodeError(f"{len(data)} bytes end in the middle of a value") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise DecodeError(f"a value cannot be read: {error}") from error


def skip(data: bytes, start: int) -> int:
    """The index behind the value that begins at `start`, which is not decoded.

    Raises: DecodeError.
    """
    if start >= len(data):
        raise DecodeError(f"{len(data)} bytes end where a value begins")
    code = data[start]
    if code == 0x00:
        return skip(data, skip(data, start + 1))
    width = code >> 4
    try:
        if width in _FIXED_WIDTHS:
            end = start + 1 + _FIXED_WIDTHS[width]
        elif width in (0xA, 0xC, 0xE):
            end = start + 2 + data[start + 1]
        elif width in (0xB, 0xD, 0xF):
            end = start + 5 + _SIZE.unpack_from(data, start + 1)[0]
        else:
            raise DecodeError(f"no type has the constructor 0x{code:02x}")
    except (IndexError, struct.error):
        end = len(data) + 1
    if end > len(data):
        raise DecodeError(f"{len(data)} bytes end in the middle of a value")
    return int(end)


def _value(data: bytes, start: int) -> tuple[Any, int]:
    reader = _READERS[data[start]]
    if reader is None:
        raise DecodeError(f"no type has the constructor 0x{data[start]:02x}")
    return reader(data, start + 1)


def _constant(value: Any) -> Reader:
    return lambda data, start: (value, start)


def _number(layout: str, kind: Callable[[Any], Any] | None = None) -> Reader:
    unpack = struct.Struct(">" + layout).unpack_from
    size = struct.calcsize(layout)
    if kind is None:
        return lambda data, start: (unpack(data, start)[0], start + size)
    return lambda data, start: (kind(unpack(data, start)[0]), start + size)


def _slice(data: bytes, start: int, size: int) -> bytes:
    piece = data[start : start + size]
    if len(piece) != size:
        raise DecodeError(f"{len(data)} bytes end in the middle of a value")
    return piece


def _bytes_of(size: int, kind: Callable[[bytes], Any]) -> Reader:
    return lambda data, start: (kind(_slice(data, start, size)), start + size)


def _variable8(kind: Callable[[bytes], Any]) -> Reader:
    def read(data: bytes, start: int) -> tuple[Any, int]:
        size = data[start]
        return kind(_slice(data, start + 1, size)), start + 1 + size

    return read


def _variable32(kind: Callable[[bytes], Any]) -> Reader:
    def read(data: bytes, start: int) -> tuple[Any, int]:
        size = _SIZE.unpack_from(data, start)[0]
        return kind(_slice(data, start + 4, size)), start + 4 + size

    return read


def _items(data: bytes, start: int, count: int) -> tuple[list[Any], int]:
    items = []
    for _ in range(count):
        reader = _READERS[data[start]]
        if reader is None:
            raise DecodeError(f"no type has the constructor 0x{data[start]:02x}")
        item, start = reader(data, start + 1)
        items.append(item)
    return items, start


def _list8(data: bytes, start: int) -> tuple[Any, int]:
    return _items(data, start + 2, data[start + 1])


def _list32(data: bytes, start: int) -> tuple[Any, int]:
    return _items(data, start + 8, _SIZE.unpack_from(data, start + 4)[0])


def _map8(data: bytes, start: int) -> tuple[Any, int]:
    items, end = _list8(data, start)
    return dict(zip(items[::2], items[1::2], strict=True)), end


def _map32(data: bytes, start: int) -> tuple[Any, int]:
    items, end = _list32(data, start)
    return dict(zip(items[::2], items[1::2], strict=True)), end


def _array8(data: bytes, start: int) -> tuple[Any, int]:
    return _array(data, start + 2, data[start + 1])


def _array32(data: bytes, start: int) -> tuple[Any, int]:
    return _array(data, start + 8, _SIZE.unpack_from(data, start + 4)[0])


def _array(data: bytes, start: int, count: int) -> tuple[Any, int]:
    code = data[start]
    reader = _READERS[code]
    if reader is None or code == 0x00:
        raise DecodeError(f"arrays of the constructor 0x{code:02x} are not read")
    if count > len(data):
        raise DecodeError(f"an array of {count} items does not fit into {len(data)} bytes")
    items = []
    start += 1
    for _ in range(count):
        item, start = reader(data, start)
        items.append(item)
    return Array(code, items), start


def _described(data: bytes, start: int) -> tuple[Any, int]:
    descriptor, start = _value(data, start)
    value, start = _value(data, start)
    return Described(descriptor, value), start


def _text(content: bytes) -> str:
    return content.decode()


def _symbol(content: bytes) -> Symbol:
    return Symbol(content.decode("ascii"))


def _char(content: bytes) -> Char:
    return Char(content.decode("utf-32-be"))


def _uuid(content: bytes) -> UUID:
    return UUID(bytes=content)


_SIZE = struct.Struct(">I")
_FIXED_WIDTHS = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
_READERS: list[Reader | None] = [None] * 256
for _code, _reader in {
    0x00: _described,
    0x40: _constant(None),
    0x41: _constant(True),
    0x42: _constant(False),
    0x43: _constant(UInt(0)),
    0x44: _constant(ULong(0)),
    0x45: lambda data, start: ([], start),
    0x50: _number("B", UByte),
    0x51: _number("b", Byte),
    0x52: _number("B", UInt),
    0x53: _number("B", ULong),
    0x54: _number("b", Int),
    0x55: _number("b"),
    0x56: _number("?"),
    0x60: _number("H", UShort),
    0x61: _number("h", Short),
    0x70: _number("I", UInt),
    0x71: _number("i", Int),
    0x72: _number("f", Float),
    0x73: _bytes_of(4, _char),
    0x74: _bytes_of(4, Decimal),
    0x80: _number("Q", ULong),
    0x81: _number("q"),
    0x82: _number("d"),
    0x83: _number("q", Timestamp),
    0x84: _bytes_of(8, Decimal),
    0x94: _bytes_of(16, Decimal),
    0x98: _bytes_of(16, _uuid),
    0xA0: _variable8(bytes),
    0xA1: _variable8(_text),
    0xA3: _variable8(_symbol),
    0xB0: _variable32(bytes),
    0xB1: _variable32(_text),
    0xB3: _variable32(_symbol),
    0xC0: _list8,
    0xC1: _map8,
    0xD0: _list32,
    0xD1: _map32,
    0xE0: _array8,
    0xF0: _array32,
}.items():
    _READERS[_code] = _reader
