"""The index of tags in SQL: what a decision needs of it, in two round trips however many tags it asks for."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple

from pyroaring import BitMap

from hub.store.connection import Connection, Row
from hub.store.decide.tag_index import BLOCK_BITS, FOLD_AT, MARK, WORD_BITS, TagId, fold, members
from hub.store.registry import statements

_WORDS_OF_BLOCK = BLOCK_BITS - WORD_BITS
_LAST_WORD = 2**32 >> WORD_BITS


class Place(NamedTuple):
    """Where a part of a hub is kept: the number of the hub, and of its shard."""

    hub: int
    shard: int


class Members(dict[TagId, BitMap]):
    """Tags with the ordinals that carry them; of a tag that was not read, nothing carries it."""

    def __missing__(self, tag: TagId) -> BitMap:
        return BitMap()


def read_members(connection: Connection, place: Place, tags: Collection[TagId]) -> Members:
    """The tags that are known of those asked for: each has been carried once, though perhaps by nothing now."""
    keys = list(tags)
    where = place._asdict()
    changes: dict[TagId, list[tuple[int, int, int]]] = defaultdict(list)
    for tag, word, added, removed in connection.read_by_keys(statements.TAG_CHANGES, keys, **where):
        changes[tag].append((word, added, removed))
    blocks: dict[TagId, list[BitMap]] = defaultdict(list)
    for tag, bitmap in connection.read_by_keys(statements.TAG_BLOCKS, keys, **where):
        blocks[tag].append(BitMap.deserialize(bitmap))
    return Members({tag: members(blocks[tag], changes[tag]) for tag in changes.keys() | blocks.keys()})


def fold_some(connection: Connection, place: Place, *, limit: int) -> bool:
    """Move the changes of up to `limit` marked tags into their blocks, where there are many; whether more are marked."""
    where = place._asdict()
    marked = [tag for (tag,) in connection.read(statements.MARKED_TAGS, limit=limit, **where)]
    if not marked:
        return False
    counts: dict[TagId, int] = dict(connection.read_by_keys(statements.COUNTED_TAGS, marked, **where))
    full = [tag for tag in marked if counts.get(tag, 0) > FOLD_AT]
    taken: dict[TagId, list[tuple[int, int, int]]] = defaultdict(list)
    for tag, word, added, removed in connection.update_many(
        statements.TAKE_CHANGES, [(*place, tag, MARK, _LAST_WORD) for tag in full]
    ):
        taken[tag].append((word, added, removed))
    blocks = _blocks_reached(connection, place, taken)
    rows: list[Row] = [
        (*place, tag, number, bitmap.serialize())
        for tag, changes in taken.items()
        for number, bitmap in fold(blocks[tag], changes).items()
    ]
    sparse: list[Row] = [(*place, tag) for tag in marked if tag not in taken]
    connection.write_all([(statements.PUT_BLOCKS, rows), (statements.UNMARK_TAGS, sparse)])
    return len(marked) == limit


def _blocks_reached(
    connection: Connection, place: Place, taken: Mapping[TagId, list[tuple[int, int, int]]]
) -> Mapping[TagId, dict[int, BitMap]]:
    numbers = [word >> _WORDS_OF_BLOCK for changes in taken.values() for word, _, _ in changes if word != MARK]
    blocks: dict[TagId, dict[int, BitMap]] = defaultdict(dict)
    if numbers:
        rows = connection.read_by_keys(
            statements.NUMBERED_BLOCKS, list(taken), first=min(numbers), last=max(numbers), **place._asdict()
        )
        for tag, number, bitmap in rows:
            blocks[tag][number] = BitMap.deserialize(bitmap)
    return blocks
