"""Basic properties and headers of AMQP 0-9-1, read from the bytes of a content header frame (pure).

A publisher fills that frame, and the broker passes it on as it came. pika decodes it within its I/O, where one value
that it cannot decode ends the connection, and where numbers lose what is behind the point. So it is decoded here.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from struct import Struct
from typing import Any

from connectors.base import MAX_DEPTH
from connectors.values import shown, text_or_bytes

_NAMES = (
    "content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to",
    "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id",
)  # fmt: skip
"""In the order of the frame; the first one has the highest bit of the flags (AMQP 0-9-1, section 1.8.3)."""

_WORD, _LENGTH, _INSTANT = (Struct(layout).unpack_from for layout in (">H", ">I", ">Q"))
_MORE_FLAGS = 1


@dataclass(slots=True)
class BasicProperties:
    """What a publisher said of a message.

    `values` are the properties that are set, `headers` the entries of the table: str, bytes (what is not UTF-8), int,
    float, bool, None, Decimal, list and dict. A time is text (ISO 8601), or its raw number when that is no date. A
    table or list nested deeper than MAX_DEPTH is the bytes that it came in. `unreadable` says what could not be read,
    and is empty when all could.

    Not frozen: one is made for every message.
    """

    values: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    unreadable: str = ""


class _UnreadableError(Exception):
    """What follows in this table, list or frame cannot be read; the text says why."""


def read_properties(frame: bytes) -> BasicProperties:
    """Read what follows the body size in a content header frame; never raises for any bytes."""
    read = BasicProperties()
    problems: list[str] = []
    try:
        _read(frame, read, problems)
    except (IndexError, struct.error, _UnreadableError):
        problems.append(f"the properties end in the middle of a value, after {len(frame)} bytes")
    if problems:
        read.unreadable = "; ".join(problems[:_MAX_PROBLEMS])
    return read


def _read(frame: bytes, read: BasicProperties, problems: list[str]) -> None:
    (flags,) = _WORD(frame, 0)
    at = 2
    more = flags
    while more & _MORE_FLAGS:  # words for properties that the standard does not have
        (more,) = _WORD(frame, at)
        at += 2
    for name in _names_of(flags):
        if name == "headers":
            at = _read_headers(frame, at, read.headers, problems)
        elif name == "timestamp":
            (read.values[name],) = _INSTANT(frame, at)
            at += 8
        elif name in ("delivery_mode", "priority"):
            read.values[name] = frame[at]
            at += 1
        else:
            start = at + 1
            at = start + frame[at]
            if at > len(frame):
                raise _UnreadableError
            read.values[name] = shown(frame[start:at])


@lru_cache(maxsize=256)
def _names_of(flags: int) -> Sequence[str]:
    """The properties that are set, in their order; a publisher sets the same in all its messages."""
    return [name for number, name in enumerate(_NAMES) if flags & 0x8000 >> number]


def _read_headers(frame: bytes, at: int, headers: dict[str, Any], problems: list[str]) -> int:
    size: int = _LENGTH(frame, at)[0]
    at += 4
    _read_table(frame, at, min(at + size, len(frame)), headers, 1, problems)
    if at + size > len(frame):
        raise _UnreadableError
    return at + size


def _read_table(frame: bytes, at: int, end: int, table: dict[str, Any], depth: int, problems: list[str]) -> None:
    """Add the entries between `at` and `end`, up to the first that cannot be read."""
    name = ""
    try:
        while at < end:
            start = at + 1
            at = start + frame[at]
            name = shown(frame[start:at])
            if at >= end:
                raise _UnreadableError("ends before its value")
            table[name], at = _value(frame, at, end, depth, problems)
    except (IndexError, struct.error):
        problems.append(f"header {name!r} ends in the middle of its value")
    except _UnreadableError as error:
        problems.append(f"header {name!r} {error}")


def _value(frame: bytes, at: int, end: int, depth: int, problems: list[str]) -> tuple[Any, int]:
    """The value that begins at `at`, and the index behind it. Raises: _UnreadableError, IndexError, struct.error."""
    kind = frame[at]
    at += 1
    if kind in (_LONG_STRING, _BINARY):
        (size,) = _LENGTH(frame, at)
        at += 4
        behind: int = at + size
        if behind > end:
            raise _UnreadableError("ends in the middle of its value")
        value = frame[at:behind]
        if kind == _BINARY:
            return text_or_bytes(value), behind
        try:
            return value.decode(), behind
        except UnicodeDecodeError:  # a long string is any bytes (section 4.2.5.3)
            return value, behind
    reader = _FIXED.get(kind)
    if reader is not None:
        unpack, size, convert = reader
        behind = at + size
        if behind > end:
            raise _UnreadableError("ends in the middle of its value")
        numbers = unpack(frame, at)
        return (numbers[0] if convert is None else convert(*numbers)), behind
    if kind == _VOID:
        return None, at
    if kind in (_TABLE, _ARRAY):
        return _container(frame, kind, at, end, depth + 1, problems)
    raise _UnreadableError(f"is of a type that AMQP 0-9-1 does not have (0x{kind:02x})")


def _container(frame: bytes, kind: int, at: int, end: int, depth: int, problems: list[str]) -> tuple[Any, int]:
    (size,) = _LENGTH(frame, at)
    at += 4
    behind = at + size
    inside = min(behind, end)
    value: Any
    if depth > MAX_DEPTH:
        problems.append(f"headers are nested deeper than {MAX_DEPTH} levels")
        value = frame[at:inside]
    elif kind == _TABLE:
        value = {}
        _read_table(frame, at, inside, value, depth, problems)
    else:
        value = []
        try:
            while at < inside:
                item, at = _value(frame, at, inside, depth, problems)
                value.append(item)
        except (IndexError, struct.error):
            problems.append("a list in the headers ends in the middle of a value")
        except _UnreadableError as error:
            problems.append(f"an item of a list in the headers {error}")
    if behind > end:
        problems.append("a table or list in the headers is longer than what holds it")
    return value, inside


def _time(seconds: int) -> str | int:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):  # milliseconds, for one: schedulers of .NET and Java send them
        return seconds


def _decimal(places: int, unscaled: int) -> Decimal:
    return Decimal(unscaled).scaleb(-places)


_MAX_PROBLEMS = 5
_LONG_STRING, _BINARY, _TABLE, _ARRAY, _VOID = b"SxFAV"

_FIXED: dict[int, tuple[Callable[[bytes, int], tuple[Any, ...]], int, Callable[..., Any] | None]] = {
    ord(kind): (Struct(layout).unpack_from, Struct(layout).size, convert)
    for kind, layout, convert in (
        ("t", ">?", None),
        ("b", ">b", None),
        ("B", ">B", None),
        ("s", ">h", None),  # a short string by the standard; all brokers and clients mean this
        ("U", ">h", None),
        ("u", ">H", None),
        ("I", ">i", None),
        ("i", ">I", None),
        ("l", ">q", None),  # signed, as `L`: a table that RabbitMQ publishes as the errata of the standard
        ("L", ">q", None),
        ("f", ">f", None),
        ("d", ">d", None),
        ("D", ">Bi", _decimal),
        ("T", ">Q", _time),
    )
}
