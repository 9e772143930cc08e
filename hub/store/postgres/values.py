"""Values between Python and PostgreSQL: columns of rows as arrays in the binary form, and texts that hold a NUL.

PostgreSQL keeps no NUL character in a text, and texts of others may have one. So NUL is written as U+FDD0 and "0", and
U+FDD0 itself, which Unicode gives to no character, is doubled.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types.numeric import Int8BinaryDumper

_ESCAPE = "\ufdd0"
_ESCAPE_BYTES = _ESCAPE.encode()
_NULL = struct.pack(">i", -1)
_LENGTH = struct.Struct(">i")
_TEXT, _TEXT_ARRAY = 25, 1009


class Array(bytes):
    """An array in the binary form (array_send in PostgreSQL's src/backend/utils/adt/arrayfuncs.c)."""


class BigintArray(Array):
    """Of `bigint`."""


class DoubleArray(Array):
    """Of `double precision`."""


class TextArray(Array):
    """Of `text`."""


class ByteaArray(Array):
    """Of `bytea`."""


def array_of(sql_type: str, values: Sequence[Any]) -> Array:
    """The values of a column, None for NULL. Raises: struct.error: one is not of that type."""
    kind, oid, encode = _KINDS[sql_type]
    if not values:
        return kind(struct.pack(">iii", 0, 0, oid))
    head = struct.pack(">iiiii", 1, int(None in values), oid, len(values), 1)
    return kind(head + encode(values))


def _fixed(code: str) -> Callable[[Sequence[Any]], bytes]:
    """For types of 8 bytes."""
    one = struct.Struct(f">i{code}")

    def encode(values: Sequence[Any]) -> bytes:
        pack = one.pack
        return b"".join([_NULL if value is None else pack(8, value) for value in values])

    return encode


def _bytes(values: Sequence[bytes | None]) -> bytes:
    parts: list[bytes] = []
    length = _LENGTH.pack
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            parts += (length(len(value)), value)
    return b"".join(parts)


def _texts(values: Sequence[str | None]) -> bytes:
    return _bytes([None if value is None else encoded(value) for value in values])


_KINDS: Mapping[str, tuple[type[Array], int, Callable[[Sequence[Any]], bytes]]] = {
    "bigint": (BigintArray, 20, _fixed("q")),
    "double precision": (DoubleArray, 701, _fixed("d")),
    "text": (TextArray, _TEXT, _texts),
    "bytea": (ByteaArray, 17, _bytes),
}
_ARRAY_OIDS = {BigintArray: 1016, DoubleArray: 1022, TextArray: _TEXT_ARRAY, ByteaArray: 1001}


def encoded(text: str) -> bytes:
    if "\0" in text or _ESCAPE in text:
        text = text.replace(_ESCAPE, _ESCAPE * 2).replace("\0", f"{_ESCAPE}0")
    return text.encode()


def decoded(data: bytes) -> str:
    text = data.decode()
    if _ESCAPE not in text:
        return text
    return _ESCAPE.join(part.replace(f"{_ESCAPE}0", "\0") for part in text.split(_ESCAPE * 2))


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> Buffer:
        return obj


class _TextDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT

    def dump(self, obj: str) -> Buffer:
        return encoded(obj)


class _TextLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        data = bytes(data)
        return decoded(data) if _ESCAPE_BYTES in data else data.decode()


def register(connection: Connection[Any]) -> None:
    """Teach a connection how values travel; a whole number is always a `bigint`, so that no plan depends on its size."""
    adapters = connection.adapters
    adapters.register_dumper(int, Int8BinaryDumper)
    adapters.register_dumper(str, _TextDumper)
    adapters.register_loader("text", _TextLoader)
    for kind, oid in _ARRAY_OIDS.items():
        adapters.register_dumper(kind, type(f"_{kind.__name__}Dumper", (_ArrayDumper,), {"oid": oid}))
