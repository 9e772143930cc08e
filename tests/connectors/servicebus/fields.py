"""Values of AMQP 1.0 as bytes, and what they are here; a case is one line. Written by the stand-in's own encoder."""

import struct
from decimal import Decimal
from typing import Any
from uuid import UUID

from sandbox.servicebus.amqp.encoding import encode, encode_described
from sandbox.servicebus.amqp.types import (
    Array,
    Byte,
    Char,
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


def nested(kind: str, levels: int) -> bytes:
    """A null within so many lists (`list`), or maps under the key `n` (`map`)."""
    value = b"\x40"
    for _ in range(levels):
        count, content = (1, value) if kind == "list" else (2, encode("n") + value)
        value = struct.pack(">BII", 0xD0 if kind == "list" else 0xD1, len(content) + 4, count) + content
    return value


def decimal_of(size: int, sign: int, exponent: int, coefficient: int) -> bytes:
    """A decimal of so many bytes whose coefficient fits its usual form; `exponent` is the power of ten."""
    code, bias, width = {4: (0x74, 101, 23), 8: (0x84, 398, 53), 16: (0x94, 6176, 113)}[size]
    number = sign << (8 * size - 1) | (exponent + bias) << width | coefficient
    return bytes([code]) + number.to_bytes(size)


def application_properties(entries: bytes, count: int) -> bytes:
    """The section, of entries (names and values in turn) that are encoded already."""
    return encode_described(0x74, struct.pack(">BII", 0xD1, len(entries) + 4, count) + entries)


PLAIN: list[Any] = [True, False, 0.75, 19.95, "", "Zürich", "x" * 300, [], {}, [1, "a", None]]
FIELDS: list[tuple[bytes, Any]] = [
    (encode(None), None),
    *((encode(each), each) for each in PLAIN),
    (b"\x56\x01", True),
    (b"\x43", 0),
    (b"\x44", 0),
    (b"\x45", []),
    *((encode(kind(value)), value) for kind, bits in ((UByte, 8), (UShort, 16), (UInt, 32), (ULong, 64))
      for value in (0, 1, 2**bits - 1)),
    *((encode(kind(value)), value) for kind, bits in ((Byte, 8), (Short, 16), (Int, 32), (int, 64))
      for value in (-(2 ** (bits - 1)), -1, 2 ** (bits - 1) - 1)),
    (encode(Float(0.75)), 0.75),
    (encode(Symbol("symbol")), "symbol"),
    (encode(Char("é")), "é"),
    (encode(Char("😀")), "😀"),
    (b"\x73\x00\x00\xd8\x00", 0xD800),
    (b"\x73\xff\xff\xff\xff", 2**32 - 1),
    (encode(UUID(int=7)), "00000000-0000-0000-0000-000000000007"),
    (encode(Timestamp(0)), "1970-01-01T00:00:00+00:00"),
    (encode(Timestamp(1_772_000_000_123)), "2026-02-25T06:13:20.123000+00:00"),
    (encode(Timestamp(-62_135_596_800_000)), "0001-01-01T00:00:00+00:00"),
    (encode(Timestamp(253_402_300_800_000)), 253_402_300_800_000),
    (encode(Timestamp(2**63 - 1)), 2**63 - 1),
    (encode(Timestamp(-(2**63))), -(2**63)),
    *((decimal_of(size, 0, -2, 1995), Decimal("19.95")) for size in (4, 8, 16)),
    (decimal_of(16, 1, -6176, 10**34 - 1), Decimal("-" + "9" * 34 + "E-6176")),
    (decimal_of(16, 0, 0, 12345678901234567890), Decimal("12345678901234567890")),
    (decimal_of(16, 0, 6111, 0), Decimal("0E+6111")),
    (b"\x74\x6c\xb8\x96\x7f", Decimal("9999999E+0")),
    (b"\x74\x78\x00\x00\x00", Decimal("Infinity")),
    (b"\x84\xf8" + bytes(7), Decimal("-Infinity")),
    (encode(b"text"), "text"),
    (encode(b"\x00\xff"), b"\x00\xff"),
    (b"\xa1\x02\xff\xfe", b"\xff\xfe"),
    (encode(Described(Symbol("com.microsoft:timespan"), 600_000_000)), 600_000_000),
    (encode(Described(ULong(1), Described(Symbol("x"), ["a"]))), ["a"]),
    (encode(Array(0x81, [1, -1])), [1, -1]),
    (b"\xe0\x08\x02\x00\xa3\x01u\x54\x01\x02", [1, 2]),
    (encode({"a": [1.5, {"b": b"\xff"}]}), {"a": [1.5, {"b": b"\xff"}]}),
    (encode({7: "a", None: "b", True: "c"}), {"7": "a", "null": "b", "true": "c"}),
]  # fmt: skip
"""Each as a sender may write it into an application property, beside its value."""

TOO_DEEP = "a value is nested deeper than 64 levels"
UNREADABLE: list[tuple[bytes, str]] = [
    (nested("list", 300), TOO_DEEP),
    (nested("map", 300), TOO_DEEP),
    (b"\x00\x53\x01" * 300 + b"\x40", TOO_DEEP),
    (b"\x57\x00", "a value is of a type that AMQP 1.0 does not have (0x57)"),
    (b"\xa5\x02ab", "a value is of a type that AMQP 1.0 does not have (0xa5)"),
    (b"\xc1\x03\x01\xa1\x00", "a map has a key without a value"),
    (b"\xd0\x00\x00\x00\x05\xff\xff\xff\xff\x40", "a list or map has another size than it says"),
    (b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40", "an array says that it has 4294967295 items of no size"),
]
"""Values that cannot be read, and what is said of them."""
