"""Field values of AMQP 0-9-1 as bytes, and what they are here; a case is one line."""

import math
import struct
from decimal import Decimal
from typing import Any

from tests.brokers.raw_amqp import entry, nested, table


def packed(kind: str, layout: str, *values: Any) -> bytes:
    return kind.encode() + struct.pack(">" + layout, *values)


def sized(kind: str, content: bytes) -> bytes:
    return kind.encode() + struct.pack(">I", len(content)) + content


NUMBERS = [
    (packed(kind, layout, number), number)
    for kind, layout, bits, signed in (
        ("b", "b", 8, True), ("B", "B", 8, False), ("s", "h", 16, True), ("u", "H", 16, False),
        ("I", "i", 32, True), ("i", "I", 32, False), ("l", "q", 64, True), ("L", "q", 64, True),
    )
    for number in ((-(2 ** (bits - 1)), -1, 0, 2 ** (bits - 1) - 1) if signed else (0, 1, 2**bits - 1))
]  # fmt: skip

FIELDS: list[tuple[bytes, Any]] = [
    *NUMBERS,
    (b"t\x00", False),
    (b"t\x01", True),
    (b"t\xff", True),
    (packed("f", "f", 0.75), 0.75),
    (packed("f", "f", 3.4028234663852886e38), 3.4028234663852886e38),
    (packed("d", "d", 0.75), 0.75),
    (packed("d", "d", 19.95), 19.95),
    (packed("d", "d", -5e-324), -5e-324),
    (packed("D", "Bi", 2, 1995), Decimal("19.95")),
    (packed("D", "Bi", 0, -(2**31)), Decimal(-(2**31))),
    (packed("D", "Bi", 255, 2**31 - 1), Decimal("2147483647E-255")),
    (packed("T", "Q", 0), "1970-01-01T00:00:00+00:00"),
    (packed("T", "Q", 1_772_000_000), "2026-02-25T06:13:20+00:00"),
    (packed("T", "Q", 253_402_300_799), "9999-12-31T23:59:59+00:00"),
    (packed("T", "Q", 253_402_300_800), 253_402_300_800),
    (packed("T", "Q", 1_772_000_000_000), 1_772_000_000_000),
    (packed("T", "Q", 2**64 - 1), 2**64 - 1),
    (b"V", None),
    (sized("S", b""), ""),
    (sized("S", "Zürich".encode()), "Zürich"),
    (sized("S", "Zürich".encode("latin-1")), b"Z\xfcrich"),
    (sized("x", b"text"), "text"),
    (sized("x", b"\x00\xff\x10"), b"\x00\xff\x10"),
    (sized("x", b"\x00\x01"), b"\x00\x01"),
    (sized("F", b""), {}),
    (sized("A", b""), []),
    (sized("A", packed("T", "Q", 2**63) + packed("d", "d", 0.5)), [2**63, 0.5]),
    (sized("F", entry("t", packed("T", "Q", 10**12)) + entry("d", packed("d", "d", 0.5))), {"t": 10**12, "d": 0.5}),
    (nested("F", 2, sized("A", b"t\x01")), {"n": {"n": [True]}}),
]
"""Each as a publisher may send it, beside its value."""

REFUSED_BY_RABBITMQ: list[tuple[bytes, Any]] = [
    (packed("d", "d", math.inf), math.inf),
    (packed("f", "f", -math.inf), -math.inf),
    (packed("U", "h", -(2**15)), -(2**15)),
    (packed("U", "h", 2**15 - 1), 2**15 - 1),
]
"""The same for other brokers: RabbitMQ 3.10 closes the connection of a publisher who sends one."""

NAMES: list[tuple[str | bytes, str]] = [
    ("plain", "plain"),
    ("Zürich".encode(), "Zürich"),
    (b"\xff\xfe", "\\xff\\xfe"),
    (b"", ""),
    (b"n" * 255, "n" * 255),
]

UNREADABLE: list[tuple[bytes, str]] = [
    (b"Z\x00", "header 'h' is of a type that AMQP 0-9-1 does not have (0x5a)"),
    (sized("A", b"Z"), "an item of a list in the headers is of a type that AMQP 0-9-1 does not have (0x5a)"),
    (sized("F", entry("inner", b"Z")), "header 'inner' is of a type that AMQP 0-9-1 does not have (0x5a)"),
    (b"S" + table(b"abc")[:-1], "header 'h' ends in the middle of its value"),
    (b"T\x00\x00", "header 'h' ends in the middle of its value"),
    (b"S\x00", "header 'h' ends in the middle of its value"),
    (b"", "header 'h' ends before its value"),
    (b"F" + struct.pack(">I", 500), "a table or list in the headers is longer than what holds it"),
    (nested("F", 64), "headers are nested deeper than 64 levels"),
    (nested("A", 5000), "headers are nested deeper than 64 levels"),
]
"""Values of the header `h` that cannot be read, and what is said of them."""
