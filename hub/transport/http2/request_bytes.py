"""Requests that share headers, as bytes (RFC 9113, section 8.1; RFC 7541): what they share is encoded once a page.

The blocks of a slice have one shape as a rule: the length of the path, of the id and of the content length. Then one
format of bytes writes all of the slice, HEADERS and DATA.
"""

import struct
from collections.abc import Sequence
from itertools import chain
from typing import Final

from hub.requests import RequestGroup
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
    start = path.encode()
    paths = [start + tail.encode() for tail in tails] if any(tails) else [start] * len(rows)
    texts = [paths, [id_.encode() for id_ in ids]]
    if shared[2]:
        texts.append([key.encode() for key in keys])
    sizes = list(map(len, bodies))
    lengths = [_LENGTHS[size] for size in sizes]
    shapes = set(zip(*[map(len, each) for each in (*texts, lengths)], strict=True))
    shape = shapes.pop()
    if shapes or sum(map(len, shared)) + sum(shape) > SHORT:
        return None
    packed = struct.pack(f">{len(rows)}I", *streams)
    numbers = [packed[at : at + 4] for at in range(0, len(packed), 4)]
    heads = {size: _HEAD_OF_DATA(size << 8, END_STREAM) for size in set(sizes)}
    holes = zip(numbers, *texts, lengths, map(heads.__getitem__, sizes), numbers, bodies, strict=True)
    template = _template(shared, shape)
    return template * len(rows) % tuple(chain.from_iterable(holes))


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


def _template(shared: Shared, shape: Sequence[int]) -> bytes:
    """The frames of a request with holes: stream, path, id, key if there is one, content length, head of the DATA frame,
    stream, body. `shape` are the lengths of what goes into the header block.
    """
    first, others, key_name = shared
    path, id_, *key, _ = shape
    parts = [first + b"\x04" + _size_of(path), others + _size_of(id_), *[key_name + _size_of(each) for each in key]]
    size = sum(map(len, parts)) + sum(shape)
    head = HEAD.pack(size >> 8, size & 255, Kind.HEADERS, END_HEADERS, 0)[:5]
    head, *parts = (part.replace(b"%", b"%%") for part in (head, *parts))
    return head + b"%b" + b"%b".join(parts) + b"%b%b%b%b%b"


def _size_of(size: int) -> bytes:
    return text(b"\0" * size)[:-size] if size else b"\0"
