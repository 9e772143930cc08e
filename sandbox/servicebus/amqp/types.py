"""The types of AMQP 1.0 (part 1) that Python has no word for.

Every value decoded keeps its type, so that what was decoded is encoded as it came. `long`, `double`, `boolean`,
`string`, `binary`, `uuid`, `list` and `map` are Python's own int, float, bool, str, bytes, UUID, list and dict.
"""

from dataclasses import dataclass
from typing import Any


class Symbol(str):
    """A name out of ASCII letters, such as a condition or a key of annotations."""

    __slots__ = ()


class Char(str):
    """One Unicode character."""

    __slots__ = ()


class UByte(int):
    """0 to 255."""

    __slots__ = ()


class UShort(int):
    """0 to 2^16-1."""

    __slots__ = ()


class UInt(int):
    """0 to 2^32-1."""

    __slots__ = ()


class ULong(int):
    """0 to 2^64-1."""

    __slots__ = ()


class Byte(int):
    """-128 to 127."""

    __slots__ = ()


class Short(int):
    """-2^15 to 2^15-1."""

    __slots__ = ()


class Int(int):
    """-2^31 to 2^31-1."""

    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970, UTC."""

    __slots__ = ()


class Float(float):
    """A number of 32 bits."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Decimal:
    """An IEEE 754 decimal number of 4, 8 or 16 bytes, with which nothing here calculates."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one type; `code` is the constructor byte they share."""

    code: int
    items: list[Any]


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor, which is a number or a symbol of whoever defined it."""

    descriptor: Any
    value: Any
