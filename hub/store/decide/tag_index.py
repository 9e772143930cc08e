"""The index of tags as numbers: ids of tags, words of changes, blocks of members. No database.

A *word* is 32 neighbouring ordinals, and a change of a tag is a word with two masks: the ordinals that carry the tag from
now on, and those that no longer do. A *block* is 65,536 ordinals, kept as a bitmap of absolute ordinals. The members of a
tag are those of its blocks, without what its changes took out, and with what these put in.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from pyroaring import BitMap

from hub.notification import Platform
from hub.store.decide.audience import kind_key
from hub.tags import tag_key

WORD_BITS = 5
BLOCK_BITS = 16
LAST_WORD = (1 << (32 - WORD_BITS)) - 1
MARK = -1
"""The word of a row that marks its tag as one to be folded; a row without masks."""

FOLD_AT = 256
"""Changes of a tag from which on they are folded into its blocks: as many are read with the tag in 0.2 ms."""

TagId = bytes
Word = tuple[TagId, int]
ChangeRow = tuple[TagId, int, int, int]
"""(tag, word, mask of the added, mask of the removed)"""


@lru_cache(maxsize=1 << 16)
def tag_id(tag: str) -> TagId:
    """16 bytes of the hash of a tag's key: of two texts that compare alike, the same; else never."""
    return key_id(tag_key(tag))


def key_id(key: str) -> TagId:
    """The id of what `tag_key` or `kind_key` made."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16, usedforsecurity=False).digest()


@lru_cache(maxsize=1 << 10)
def kind_id(kind: str, platform: Platform) -> TagId:
    return key_id(kind_key(kind, platform))


DEAD = key_id("%dead")
"""Carried by the registrations whose push channel is dead. These keep their own tags: to bring one back is one change."""


class TagChanges:
    """What one transaction changes in the index of a shard; the last word on a (tag, ordinal) counts."""

    __slots__ = ("added", "removed")

    def __init__(self) -> None:
        self.added: dict[Word, int] = {}
        self.removed: dict[Word, int] = {}

    def replace(self, before: Mapping[Word, int], after: Mapping[Word, int]) -> None:
        """From what some ordinals carried to what they carry."""
        added, removed = self.added, self.removed
        if not before:
            for word, mask in after.items():
                added[word] = added.get(word, 0) | mask
            return
        for word in before.keys() | after.keys():
            old, new = before.get(word, 0), after.get(word, 0)
            if gained := new & ~old:
                added[word] = added.get(word, 0) | gained
            if lost := old & ~new:
                removed[word] = removed.get(word, 0) | lost

    def rows(self) -> list[ChangeRow]:
        """In the order of the index, with a mark for each tag that may have many changes by now.

        Of 256 neighbouring words of a tag, one has a mark beside it: no counter that each write would wait for.
        """
        added, removed = self.added, self.removed
        words = added.keys() if not removed else added.keys() | removed.keys()
        marked = {word[0] for word in words if word[0][0] == word[1] & 255}
        rows = [(tag, number, added.get((tag, number), 0), removed.get((tag, number), 0)) for tag, number in words]
        rows += [(tag, MARK, 0, 0) for tag in marked]
        rows.sort()
        return rows


@lru_cache(maxsize=1 << 14)
def _bits(mask: int) -> tuple[int, ...]:
    return tuple(bit for bit in range(1 << WORD_BITS) if mask >> bit & 1)


def ordinals_of(masks: Iterable[tuple[int, int]]) -> BitMap:
    """The ordinals of (word, mask) pairs."""
    return BitMap([(word << WORD_BITS) + bit for word, mask in masks if mask for bit in _bits(mask)])


def members(blocks: Sequence[BitMap], changes: Sequence[tuple[int, int, int]]) -> BitMap:
    """The members of a tag, of its blocks and its (word, added, removed), marks among them."""
    put_in = ordinals_of((word, added) for word, added, _ in changes)
    if not blocks:
        return put_in
    result = BitMap.union(*blocks) if len(blocks) > 1 else blocks[0].copy()
    result -= ordinals_of((word, removed) for word, _, removed in changes)
    result |= put_in
    return result


def fold(blocks: Mapping[int, BitMap], changes: Iterable[tuple[int, int, int]]) -> dict[int, BitMap]:
    """The blocks that changes of a tag reach, by number, after them; `blocks` are those that there were."""
    put_in: dict[int, list[tuple[int, int]]] = {}
    taken_out: dict[int, list[tuple[int, int]]] = {}
    for word, added, removed in changes:
        if word == MARK:
            continue
        number = word >> (BLOCK_BITS - WORD_BITS)
        put_in.setdefault(number, []).append((word, added))
        taken_out.setdefault(number, []).append((word, removed))
    folded = {}
    for number, masks in put_in.items():
        block = blocks.get(number, BitMap()) - ordinals_of(taken_out[number])
        folded[number] = block | ordinals_of(masks)
    return folded


def blocks_of(ordinals: Iterable[tuple[int, int]]) -> Iterator[tuple[int, BitMap]]:
    """(block, bitmap) of (word, mask) pairs."""
    by_block: dict[int, list[tuple[int, int]]] = {}
    for word, mask in ordinals:
        by_block.setdefault(word >> (BLOCK_BITS - WORD_BITS), []).append((word, mask))
    for number, masks in by_block.items():
        yield number, ordinals_of(masks)
