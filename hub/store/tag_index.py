"""The tag index in SQL: rows for tags with few members, bitmaps in blocks of 65,536 ordinals for tags with many."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from pyroaring import BitMap

FOLD_AT = 4096
"""Rows of one tag from which on they are folded into its bitmaps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexShape:
    """When rows become bitmaps, and how large those are; what was written in one shape is read in any other."""

    fold_at: int = FOLD_AT
    block_bits: int = 16


class TagChanges:
    """What one transaction changes in the index of one hub; the last word on a (tag, ordinal) counts."""

    def __init__(self, shape: IndexShape = IndexShape()) -> None:
        self._shape = shape
        self._changes: dict[str, dict[int, bool]] = defaultdict(dict)

    def add(self, key: str, ordinal: int) -> None:
        self._changes[key][ordinal] = True

    def remove(self, key: str, ordinal: int) -> None:
        self._changes[key][ordinal] = False

    def apply(self, connection: sqlite3.Connection, hub: int) -> None:
        for key, members in self._changes.items():
            _change(connection, hub, key, members, self._shape)
        self._changes.clear()


def _change(connection: sqlite3.Connection, hub: int, key: str, members: Mapping[int, bool], shape: IndexShape) -> None:
    found = connection.execute("SELECT id, dense, row_count FROM tag WHERE hub = ? AND key = ?", (hub, key)).fetchone()
    if found is None:
        query = "INSERT INTO tag (hub, key, row_count) VALUES (?, ?, ?) RETURNING id"
        (tag,) = connection.execute(query, (hub, key, len(members))).fetchone()
        dense, row_count = 0, 0
    else:
        tag, dense, row_count = found
        connection.execute("UPDATE tag SET row_count = row_count + ? WHERE id = ?", (len(members), tag))
    kept = [(tag, ordinal, int(member)) for ordinal, member in members.items() if member or dense]
    connection.executemany("INSERT OR REPLACE INTO tag_row (tag, ordinal, member) VALUES (?, ?, ?)", kept)
    if not dense:
        dropped = [(tag, ordinal) for ordinal, member in members.items() if not member]
        connection.executemany("DELETE FROM tag_row WHERE tag = ? AND ordinal = ?", dropped)
    if row_count + len(members) > shape.fold_at:
        _fold(connection, tag, shape)


def _fold(connection: sqlite3.Connection, tag: int, shape: IndexShape) -> None:
    """Move a tag's rows into its bitmaps, if there are as many as the count says: rows replaced were counted twice."""
    (rows,) = connection.execute("SELECT count(*) FROM tag_row WHERE tag = ?", (tag,)).fetchone()
    if rows <= shape.fold_at:
        connection.execute("UPDATE tag SET row_count = ? WHERE id = ?", (rows, tag))
        return
    blocks: dict[int, BitMap] = {}
    for ordinal, member in connection.execute("SELECT ordinal, member FROM tag_row WHERE tag = ?", (tag,)):
        block = ordinal >> shape.block_bits
        if block not in blocks:
            blocks[block] = _block(connection, tag, block)
        if member:
            blocks[block].add(ordinal)
        else:
            blocks[block].discard(ordinal)
    connection.executemany(
        "INSERT OR REPLACE INTO tag_block (tag, block, bitmap) VALUES (?, ?, ?)",
        [(tag, block, bitmap.serialize()) for block, bitmap in blocks.items()],
    )
    connection.execute("DELETE FROM tag_row WHERE tag = ?", (tag,))
    connection.execute("UPDATE tag SET dense = 1, row_count = 0 WHERE id = ?", (tag,))


def _block(connection: sqlite3.Connection, tag: int, block: int) -> BitMap:
    row = connection.execute("SELECT bitmap FROM tag_block WHERE tag = ? AND block = ?", (tag, block)).fetchone()
    return BitMap() if row is None else BitMap.deserialize(row[0])


def members(connection: sqlite3.Connection, hub: int, key: str) -> BitMap:
    """The ordinals that carry a tag; empty when nobody does."""
    found = connection.execute("SELECT id, dense FROM tag WHERE hub = ? AND key = ?", (hub, key)).fetchone()
    if found is None:
        return BitMap()
    tag, dense = found
    rows = connection.execute("SELECT ordinal, member FROM tag_row WHERE tag = ?", (tag,)).fetchall()
    result = BitMap([ordinal for ordinal, member in rows if member])
    if dense:
        blocks = connection.execute("SELECT bitmap FROM tag_block WHERE tag = ?", (tag,))
        result |= BitMap.union(BitMap(), *(BitMap.deserialize(bitmap) for (bitmap,) in blocks))
        result -= BitMap([ordinal for ordinal, member in rows if not member])
    return result


def is_known(connection: sqlite3.Connection, hub: int, key: str) -> bool:
    """Whether a registration carries the tag, or ever did."""
    return connection.execute("SELECT 1 FROM tag WHERE hub = ? AND key = ?", (hub, key)).fetchone() is not None


def few(connection: sqlite3.Connection, hub: int, keys: frozenset[str], limit: int) -> list[int] | None:
    """Ids of the tags that exist among `keys` if all are kept as rows, `limit` in sum at most; else None."""
    tags = []
    for key in keys:
        found = connection.execute(
            "SELECT id, dense, row_count FROM tag WHERE hub = ? AND key = ?", (hub, key)
        ).fetchone()
        if found is None:
            continue
        tag, dense, row_count = found
        limit -= row_count
        if dense or limit < 0:
            return None
        tags.append(tag)
    return tags
