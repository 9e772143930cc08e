"""The index of tags in SQL: what a transaction reads of it, and the folding of changes into blocks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyroaring import BitMap

from hub.store.connection import Connection, Row
from hub.store.decide.tag_index import (
    BLOCK_BITS,
    FOLD_AT,
    LAST_WORD,
    MARK,
    WORD_BITS,
    TagChanges,
    TagId,
    WordMask,
    blocks_of,
    fold,
    members,
)
from hub.store.registry import statements
from hub.store.registry.places import Place

FOLDED = 16
"""Tags that one transaction folds, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexShape:
    """How many changes of a tag are folded, and how many tags in one transaction."""

    fold_at: int = FOLD_AT
    folded: int = FOLDED


class TagSets:
    """The members of tags, as one transaction sees them."""

    def __init__(self, connection: Connection, place: Place) -> None:
        self._connection = connection
        self._place = place
        self._changes: dict[TagId, list[tuple[int, int, int]]] = {}
        self._blocks: dict[TagId, list[bytes]] = {}
        self._members: dict[TagId, BitMap] = {}

    def load(self, tags: Iterable[TagId]) -> None:
        """Two round trips, whatever the number; those that are loaded are not read again."""
        missing = list({tag for tag in tags if tag not in self._changes})
        hub, shard = self._place
        for tag in missing:
            self._changes[tag], self._blocks[tag] = [], []
        rows = self._connection.read_by_keys(statements.TAG_CHANGES, missing, hub=hub, shard=shard)
        for tag, word, added, removed in rows:
            self._changes[tag].append((word, added, removed))
        for tag, bitmap in self._connection.read_by_keys(statements.TAG_BLOCKS, missing, hub=hub, shard=shard):
            self._blocks[tag].append(bitmap)

    def members(self, tag: TagId) -> BitMap:
        """The ordinals that carry a tag that was loaded."""
        found = self._members.get(tag)
        if found is None:
            blocks = [BitMap.deserialize(block) for block in self._blocks[tag]]  # not all that are loaded are asked for
            found = self._members[tag] = members(blocks, self._changes[tag])
        return found

    def is_known(self, tag: TagId) -> bool:
        """Whether a registration carries a tag that was loaded, or did."""
        return bool(self._changes[tag] or self._blocks[tag])


def change_tags(connection: Connection, place: Place, changes: TagChanges) -> None:
    connection.insert_many(statements.CHANGE_TAGS, change_rows(place, changes))


def change_rows(place: Place, changes: TagChanges) -> list[Row]:
    hub, shard = place
    return [(hub, shard, *row) for row in changes.rows()]


def marked_tags(connection: Connection, place: Place, limit: int) -> list[TagId]:
    rows = connection.read(statements.MARKED_TAGS, hub=place.hub, shard=place.shard, limit=limit)
    return [tag for (tag,) in rows]


def fold_tags(connection: Connection, place: Place, shape: IndexShape = IndexShape()) -> int:
    """Take the marks of some tags away, and move the changes of those that have many into their blocks; how many tags.

    What is taken out is what is folded: a change that comes in between stays for the next time.
    """
    hub, shard = place
    connection.read(statements.HOLD_INDEX, hub=hub, shard=shard)
    tags = marked_tags(connection, place, shape.folded)
    counts = connection.read_by_keys(statements.COUNTED_TAGS, tags, hub=hub, shard=shard)
    many = {tag for tag, count in counts if count > shape.fold_at}
    taken = connection.update_many(
        statements.TAKE_CHANGES, [(hub, shard, tag, MARK, LAST_WORD if tag in many else MARK) for tag in tags]
    )
    changes: dict[TagId, list[tuple[int, int, int]]] = {}
    for tag, word, added, removed in taken:
        if word != MARK:
            changes.setdefault(tag, []).append((word, added, removed))
    _fold_into_blocks(connection, place, changes)
    return len(tags)


def _fold_into_blocks(connection: Connection, place: Place, changes: dict[TagId, list[tuple[int, int, int]]]) -> None:
    words = [word for rows in changes.values() for word, _, _ in rows]
    if not words:
        return
    old = _blocks(connection, place, list(changes), min(words), max(words))
    rows = [
        (*place, tag, number, _serialized(block))
        for tag, of_tag in changes.items()
        for number, block in fold(old.get(tag, {}), of_tag).items()
    ]
    connection.insert_many(statements.PUT_BLOCKS, rows)


def add_to_blocks(connection: Connection, place: Place, added: Mapping[TagId, Sequence[WordMask]]) -> None:
    """Put ordinals that were never given out before straight into the blocks: no change of theirs can wait to be folded."""
    numbers = [number for words in added.values() for number, _ in words]
    if not numbers:
        return
    hub, shard = place
    connection.read(statements.HOLD_INDEX, hub=hub, shard=shard)
    old = _blocks(connection, place, sorted(added), min(numbers), max(numbers))
    put = []
    for tag, words in added.items():
        of_tag = old.get(tag, {})
        for number, block in blocks_of(words):
            if number in of_tag:
                block |= of_tag[number]
            put.append((hub, shard, tag, number, _serialized(block)))
    connection.insert_many(statements.PUT_BLOCKS, put)


def _serialized(block: BitMap) -> bytes:
    block.run_optimize()
    serialized: bytes = block.serialize()
    return serialized


def _blocks(
    connection: Connection, place: Place, tags: Collection[TagId], first: int, last: int
) -> dict[TagId, dict[int, BitMap]]:
    """Blocks of tags that hold words from `first` to `last`, by number."""
    shift = BLOCK_BITS - WORD_BITS
    found: dict[TagId, dict[int, BitMap]] = {}
    rows = connection.read_by_keys(
        statements.NUMBERED_BLOCKS,
        list(tags),
        hub=place.hub,
        shard=place.shard,
        first=first >> shift,
        last=last >> shift,
    )
    for tag, number, bitmap in rows:
        found.setdefault(tag, {})[number] = BitMap.deserialize(bitmap)
    return found
