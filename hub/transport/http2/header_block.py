"""Header blocks of requests (HPACK, RFC 7541), without Huffman codes: what pushes share is sent once, then named by number.

Only a field whose value rarely changes goes into the table. Apple asks for that: a table is small, and paths, ids and
collapse ids would push out what is worth keeping.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

TABLE_SIZE: Final = 4096
"""Bytes of the table that are used at most."""

_OVERHEAD: Final = 32  # of an entry (RFC 7541, section 4.1)
_STATIC: Final = 61
_RENEWED_AFTER: Final = 1000
"""Slices of requests until a table that is too small is made anew."""
_STATIC_NAMES: Final = {b":authority": 1, b":path": 4, b"authorization": 23, b"content-length": 28, b"content-type": 31}
KEPT: Final = frozenset(
    [
        b":authority",
        b"authorization",
        b"content-type",
        b"apns-topic",
        b"apns-push-type",
        b"apns-priority",
        b"ttl",
        b"urgency",
    ]
)
"""Names of fields whose values rarely change."""
POST_HTTPS: Final = b"\x83\x87"
""":method and :scheme."""


_SHORT_LENGTHS: Final = [bytes([size]) for size in range(127)]


def integer(value: int, bits: int, flags: int = 0) -> bytes:
    """An integer with a prefix of so many bits behind `flags` (RFC 7541, section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([flags | value])
    out = bytearray([flags | most])
    value -= most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def text(value: bytes) -> bytes:
    size = len(value)
    return (_SHORT_LENGTHS[size] if size < 127 else integer(size, 7)) + value


@lru_cache(maxsize=256)
def literal_name(name: bytes) -> bytes:
    """A field that is not to be kept, up to its value (section 6.2.2)."""
    known = _STATIC_NAMES.get(name)
    return b"\x00" + text(name) if known is None else integer(known, 4)


def literal(name: bytes, value: bytes) -> bytes:
    """A field that is not to be kept."""
    return literal_name(name) + text(value)


class HeaderTable:
    """The dynamic table of one direction of a connection, as its encoder knows it. `version` changes with each entry."""

    def __init__(self) -> None:
        self.version = 0
        self._size = TABLE_SIZE
        self._used = 0
        self._inserted = 0
        self._entries: dict[tuple[bytes, bytes], int] = {}
        self._told: list[int] = []  # sizes that the next block has to begin with
        self._lacks_room = False
        self._since_renewal = 0

    def resize(self, size: int) -> None:
        """The other side takes a table of so many bytes at most, from now on."""
        size = min(size, TABLE_SIZE)
        if size != self._size:
            self._empty(size)

    def shared(self, authority: bytes, fields: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
        """What the blocks of requests have in common: before their path, and behind it.

        Entries that it makes are known to the other side once it was sent: with another `version` it differs next time.
        """
        first = self._resized() + POST_HTTPS + self._field(b":authority", authority)
        return first, b"".join(self._field(name, value) for name, value in fields)

    def _resized(self) -> bytes:
        told, self._told = self._told, []
        return b"".join(integer(size, 5, 0x20) for size in told)

    def _field(self, name: bytes, value: bytes) -> bytes:
        key = (name, value)
        number = self._entries.get(key)
        if number is not None:
            return integer(_STATIC + self._inserted - number, 7, 0x80)
        if name not in KEPT:
            return literal(name, value)
        cost = len(name) + len(value) + _OVERHEAD
        if cost > self._size - self._used:
            self._lacks_room = True
            return literal(name, value)
        self._used += cost
        self._entries[key] = self._inserted
        self._inserted += 1
        self.version += 1
        known = _STATIC_NAMES.get(name)
        return (b"\x40" + text(name) if known is None else integer(known, 6, 0x40)) + text(value)

    def renew_if_full(self) -> None:
        """Begin again with an empty table where fields found no room: tokens that were renewed are still in it."""
        self._since_renewal += 1
        if self._lacks_room and self._since_renewal >= _RENEWED_AFTER:
            self._empty(self._size)

    def _empty(self, size: int) -> None:
        # Down to nothing first, which empties the other side's table too (section 4.3).
        self._told = [0, size] if size else [0]
        self._size, self._used, self._inserted = size, 0, 0
        self._lacks_room, self._since_renewal = False, 0
        self._entries.clear()
        self.version += 1
