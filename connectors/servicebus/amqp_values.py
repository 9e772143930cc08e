"""Values of AMQP 1.0 (part 1, section 1.6), read from bytes (pure).

The SDK's decoder knows not all types, leaves text, symbols and binary alike as bytes, reads only small decimals, and
ends the connection over what it cannot read: the broker then hands out the same message until its delivery count is
used up. So what a sender wrote is decoded here.
"""

import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from struct import Struct
from typing import Any
from uuid import UUID

from connectors.base import MAX_DEPTH
from connectors.values import shown, text_or_bytes

_SIZE = Struct(">I").unpack_from
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnreadableError(Exception):
    """From here on the bytes cannot be read; the text says why."""


class Values:
    """Reads values out of `data`; `problems` lists what could not be read as it stands.

    Text and symbols become str, binary becomes text or bytes (see `values.py`), UUIDs str, arrays lists, and a
    described value the value alone. A value that cannot be what its type says is its raw number. A value of an unknown
    type, or one nested deeper than MAX_DEPTH, is the bytes that it came in. With `times` a timestamp is text
    (ISO 8601), else the milliseconds that it came in.
    """

    def __init__(self, data: bytes, *, times: bool = True) -> None:
        self.data = data
        self.times = times
        self.problems: list[str] = []

    def read(self, at: int) -> tuple[Any, int]:
        """The value that begins at `at`, and the index behind it.

        Raises: UnreadableError: the bytes end before the value does, or its end is not to be known.
        """
        try:
            return self._read(at, 1)
        except (IndexError, struct.error):
            raise _cut() from None

    def _read(self, at: int, depth: int) -> tuple[Any, int]:
        code = self.data[at]
        if code == _DESCRIBED:
            if depth > MAX_DEPTH:
                return self._too_deep(at, skip(self.data, at))
            return self._read(skip(self.data, at + 1), depth + 1)
        return self._content(code, at, at + 1, depth)

    def _content(self, code: int, start: int, at: int, depth: int) -> tuple[Any, int]:
        """A value whose constructor is known; `start` is where it began, `at` where its content does."""
        data = self.data
        if code in _TEXTS or code in _BINARIES:
            size, at = (data[at], at + 1) if code < 0xB0 else (_SIZE(data, at)[0], at + 4)
            end = at + size
            if end > len(data):
                raise _cut()
            value = data[at:end]
            if code in _BINARIES:
                return text_or_bytes(value), end
            try:
                return value.decode(), end
            except UnicodeDecodeError:
                return value, end
        fixed = _FIXED.get(code)
        if fixed is not None:
            unpack, size, convert = fixed
            if at + size > len(data):
                raise _cut()
            (number,) = unpack(data, at)
            return (number if convert is None else convert(number)), at + size
        if code in _CONSTANTS:
            return _CONSTANTS[code], at
        if code == _TIMESTAMP:
            milliseconds = int.from_bytes(_slice(data, at, 8), signed=True)
            return (_time(milliseconds) if self.times else milliseconds), at + 8
        if code in _DECIMALS:
            size = _DECIMALS[code]
            return _decimal(_slice(data, at, size)), at + size
        if code == _UUID:
            return str(UUID(bytes=_slice(data, at, 16))), at + 16
        if code in _CONTAINERS:
            return self._container(code, start, at, depth)
        end = skip_content(data, code, at)
        self.problems.append(f"a value is of a type that AMQP 1.0 does not have (0x{code:02x})")
        return data[start:end], end

    def _container(self, code: int, start: int, at: int, depth: int) -> tuple[Any, int]:
        data = self.data
        if code == _EMPTY_LIST:
            return [], at
        end = skip_content(data, code, at)
        if depth > MAX_DEPTH:
            return self._too_deep(start, end)
        width = 1 if code in (0xC0, 0xC1, 0xE0) else 4
        count = data[at + width] if width == 1 else _SIZE(data, at + width)[0]
        at += 2 * width
        items: list[Any] = []
        if code in (0xE0, 0xF0):
            items = self._array(at, end, count, depth)
        else:
            for _ in range(min(count, end - at)):  # the count is the sender's word, and no item takes no byte
                item, at = self._read(at, depth + 1)
                items.append(item)
            if at > end or len(items) < count:
                raise UnreadableError("a list or map has another size than it says")
        if code in (0xC1, 0xD1):
            if len(items) % 2:
                raise UnreadableError("a map has a key without a value")
            return {_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}, end
        return items, end

    def _array(self, at: int, end: int, count: int, depth: int) -> list[Any]:
        """Items that share one constructor, which may be described."""
        if not count:
            return []
        while self.data[at] == _DESCRIBED:
            at = skip(self.data, at + 1)
        code = self.data[at]
        at += 1
        if count > MAX_CONSTANTS and (code >> 4) == 0x4:
            raise UnreadableError(f"an array says that it has {count} items of no size")
        items = []
        for _ in range(count):
            item, at = self._content(code, at, at, depth + 1)
            items.append(item)
            if at > end:
                raise UnreadableError("an array has another size than it says")
        return items

    def _too_deep(self, start: int, end: int) -> tuple[bytes, int]:
        self.problems.append(f"a value is nested deeper than {MAX_DEPTH} levels")
        return self.data[start:end], end


def is_opaque(code: int) -> bool:
    """Whether a constructor is one of text, symbols or binary: content of any bytes behind its size."""
    return code in _TEXTS or code in _BINARIES


def skip(data: bytes, at: int) -> int:
    """The index behind the value that begins at `at`. Raises: UnreadableError."""
    try:
        while data[at] == _DESCRIBED:
            if data[at + 1] == _DESCRIBED:
                raise UnreadableError("a descriptor is described itself")
            at = skip_content(data, data[at + 1], at + 2)
        return skip_content(data, data[at], at + 1)
    except IndexError:
        raise _cut() from None


def skip_content(data: bytes, code: int, at: int) -> int:
    """The index behind the content that begins at `at`: each constructor has a width (section 1.2).

    Raises: UnreadableError.
    """
    width = code >> 4
    try:
        if width in _WIDTHS:
            end = at + _WIDTHS[width]
        elif width in (0xA, 0xC, 0xE):
            end = at + 1 + data[at]
        elif width in (0xB, 0xD, 0xF):
            end = at + 4 + _SIZE(data, at)[0]
        else:
            raise UnreadableError(f"a value is of a type that AMQP 1.0 does not have (0x{code:02x})")
    except (IndexError, struct.error):
        raise _cut() from None
    if end > len(data):
        raise _cut()
    return end


def _cut() -> UnreadableError:
    return UnreadableError("a value ends in the middle")


def _slice(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise _cut()
    return data[at : at + size]


def _key(key: Any) -> str:
    if isinstance(key, str | bytes):
        return shown(key)
    if key is None or isinstance(key, bool):
        return "null" if key is None else str(key).lower()
    return str(key)


def _time(milliseconds: int) -> str | int:
    try:
        return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat()
    except OverflowError:
        return milliseconds


def _char(code_point: int) -> str | int:
    """A character of UTF-32BE; the number when there is no such character."""
    surrogate = 0xD800 <= code_point < 0xE000
    return code_point if surrogate or code_point > 0x10FFFF else chr(code_point)


def _decimal(content: bytes) -> Decimal:
    """A number of IEEE 754-2008, section 3.5.2, whose coefficient is encoded in binary, with all its digits."""
    width = 8 * len(content)
    exponent_width, coefficient_width, digits = _FORMATS[len(content)]
    number = int.from_bytes(content)
    sign = number >> (width - 1)
    if (number >> (width - 3)) & 0b11 != 0b11:
        shift, coefficient = coefficient_width, number & ((1 << coefficient_width) - 1)
    elif (number >> (width - 5)) & 0b11 == 0b11:
        return Decimal("NaN") if (number >> (width - 6)) & 1 else Decimal("-Infinity" if sign else "Infinity")
    else:
        shift = coefficient_width - 2
        coefficient = 1 << coefficient_width | number & ((1 << shift) - 1)
    if coefficient >= 10**digits:
        coefficient = 0  # not canonical, and zero by the standard
    exponent = (number >> shift) & ((1 << exponent_width) - 1)
    bias = 3 * 2 ** (exponent_width - 2) // 2 + digits - 2
    return Decimal((sign, tuple(map(int, str(coefficient))), exponent - bias))


MAX_CONSTANTS = 65536
"""Items of an array that take no bytes: the count of those is bounded by nothing else."""

_DESCRIBED, _EMPTY_LIST, _TIMESTAMP, _UUID = 0x00, 0x45, 0x83, 0x98
_TEXTS = frozenset({0xA1, 0xA3, 0xB1, 0xB3})
_BINARIES = frozenset({0xA0, 0xB0})
_CONTAINERS = frozenset({_EMPTY_LIST, 0xC0, 0xC1, 0xD0, 0xD1, 0xE0, 0xF0})
_CONSTANTS = {0x40: None, 0x41: True, 0x42: False, 0x43: 0, 0x44: 0}
_DECIMALS = {0x74: 4, 0x84: 8, 0x94: 16}
_FORMATS = {4: (8, 23, 7), 8: (10, 53, 16), 16: (14, 113, 34)}
"""By bytes: widths of exponent and coefficient, digits."""
_WIDTHS = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}

_FIXED: dict[int, tuple[Callable[[bytes, int], tuple[Any]], int, Callable[[Any], Any] | None]] = {
    code: (Struct(layout).unpack_from, Struct(layout).size, convert)
    for code, layout, convert in (
        (0x50, ">B", None),
        (0x51, ">b", None),
        (0x52, ">B", None),
        (0x53, ">B", None),
        (0x54, ">b", None),
        (0x55, ">b", None),
        (0x56, ">?", None),
        (0x60, ">H", None),
        (0x61, ">h", None),
        (0x70, ">I", None),
        (0x71, ">i", None),
        (0x72, ">f", None),
        (0x73, ">I", _char),
        (0x80, ">Q", None),
        (0x81, ">q", None),
        (0x82, ">d", None),
    )
}
