"""Requests that share headers, as bytes (RFC 9113, section 8.1; RFC 7541): what they share is encoded once a page.

The blocks of a slice have one shape as a rule: the length of the path, of the id and of the body. Then all of the slice,
HEADERS and DATA, is joined at once from what the requests share and their columns.
"""

import struct
from collections.abc import Sequence
from typing import Final

from hub.requests import RequestGroup, encoded
from hub.transport.feed import Row
from hub.transport.http2.frames import END_HEADERS, END_STREAM, HEAD, Kind
from hub.transport.http2.header_block import KEPT, HeaderTable, literal, literal_name, text

SHORT: Final = 8192
"""Bytes of a header block that is sure to fit into a frame, and of a body whose length is written down already."""
_MOST_KEPT: Final = 128

_HEAD_OF_DATA = struct.Struct(">IB").pack  # length << 8 | kind, flags
_LENGTH_NAME: Final = literal_name(b"content-length")
_LENGTHS: Final = [_LENGTH_NAME + text(str(size).encode()) for size in range(SHORT)]

Shared = tuple[bytes, bytes, bytes]
"""The parts of a header block before the path, from there to the id, and from there to the key if there is one."""


class RequestEncoder:
    """The encoding side of a connection: its header table, and the blocks of headers that rarely change."""

    def __init__(self, authority: str) -> None:
        self._authority = authority.encode()
        self._table = HeaderTable()
        self._kept: dict[tuple[bytes, ...], tuple[bytes, bytes]] = {}  # by header lines that rarely change
        self._encoded_for = -1  # the version of the table whose entries `_kept` names

    def resize(self, size: int) -> None:
        """Obey the other side's SETTINGS_HEADER_TABLE_SIZE, in bytes."""
        self._table.resize(size)

    def renew_if_full(self) -> None:
        """Begin the table again where it has no room; once before the requests of a slice."""
        self._table.renew_if_full()

    def shared(self, group: RequestGroup) -> tuple[Shared, bool]:
        """What the blocks of the requests share, and whether that can be sent more than once.

        The first block names the entries that it makes by their values, all behind it by their numbers.
        """
        if self._encoded_for != self._table.version or len(self._kept) > _MOST_KEPT:
            self._kept.clear()
            self._encoded_for = self._table.version
        kept: list[bytes] = []
        passing: list[bytes] = []
        for line in group.headers:
            (kept if line[: line.find(b":")] in KEPT else passing).append(line)
        key = tuple(kept)
        shared = self._kept.get(key)
        if shared is None:
            shared = self._table.shared(self._authority, list(map(_field, kept)))
            if self._table.version == self._encoded_for:
                self._kept[key] = shared
        first, others = shared
        others += b"".join([literal(*_field(line)) for line in passing])
        key_name = literal_name(group.key_name.encode()) if group.key_name else b""
        return (
            first,
            others + literal_name(group.id_name.encode()),
            key_name,
        ), self._table.version == self._encoded_for


def whole_requests(shared: Shared, path: str, streams: Sequence[int], rows: Sequence[Row]) -> bytes | None:
    """HEADERS and DATA of requests whose blocks have one shape; None where they have not.

    No body is as long as `SHORT`, nor longer than a frame.
    """
    _, tails, ids, bodies, keys = zip(*rows, strict=True)
    texts = [encoded(tails), encoded(ids)]
    if shared[2]:
        texts.append(encoded(keys))
    sizes = [_size_of_all(each) for each in (*texts, bodies)]
    if None in sizes:
        return None
    *shape, size = [each for each in sizes if each is not None]
    between = _between(shared, path.encode(), shape, size)
    if between is None:
        return None
    count = len(rows)
    numbers = struct.unpack("4s" * count, struct.pack(f">{count}I", *streams))
    columns = (numbers, *texts, numbers, bodies)
    pieces: list[bytes] = [b""] * (2 * count * len(columns))
    # Joined from columns of pieces: a format would look at each of its holes.
    step = 2 * len(columns)
    for place, (constant, column) in enumerate(zip(between, columns, strict=True)):
        pieces[2 * place :: step] = [constant] * count
        pieces[2 * place + 1 :: step] = column
    return b"".join(pieces)


def _size_of_all(column: Sequence[bytes]) -> int | None:
    """Bytes of each, None where they differ."""
    sizes = set(map(len, column))
    return sizes.pop() if len(sizes) == 1 else None


def header_block(shared: Shared, path: str, row: Row) -> bytes:
    """The header block of one request."""
    _, tail, id_, body, key = row
    size = len(body)
    length = _LENGTHS[size] if size < SHORT else _LENGTH_NAME + text(str(size).encode())
    first, others, key_name = shared
    own = key_name + text(key.encode()) if key_name else b""
    return b"".join((first, b"\x04", text((path + tail).encode()), others, text(id_.encode()), own, length))


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t")


def _between(shared: Shared, path: bytes, shape: Sequence[int], size: int) -> Sequence[bytes] | None:
    """What stands before each of these in the frames of a request: stream, end of the path, id, key if there is one,
    stream, body of `size` bytes. `shape` are the lengths of the path's end, id and key. None where the header block is too
    long.
    """
    first, others, key_name = shared
    tail, id_, *key = shape
    fields = [first + b"\x04" + _size_of(len(path) + tail) + path, others + _size_of(id_)]
    fields += [key_name + _size_of(each) for each in key]
    length = _LENGTHS[size]
    block = sum(map(len, fields)) + sum(shape) + len(length)
    if block > SHORT:
        return None
    head = HEAD.pack(block >> 8, block & 255, Kind.HEADERS, END_HEADERS, 0)[:5]
    return head, *fields, length + _HEAD_OF_DATA(size << 8, END_STREAM), b""


def _size_of(size: int) -> bytes:
    return text(b"\0" * size)[:-size] if size else b"\0"
