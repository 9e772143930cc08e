"""The index of tags as numbers: ids of tags, words of changes, blocks of members. No database.

A *word* is 32 neighbouring ordinals, and a change of a tag is a word with two masks: the ordinals that carry the tag from
now on, and those that no longer do. A *block* is 65,536 ordinals, kept as a bitmap of absolute ordinals. The members of a
tag are those of its blocks, without what its changes took out, and with what these put in. What new registrations carry
waits in a log (`tag_log`), as if it were in the blocks.
"""

import hashlib
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from pyroaring import BitMap

from hub.notification import Platform
from hub.store.decide.audience import kind_key
from hub.tags import tag_key

WORD_BITS = 5
BLOCK_BITS = 16
_IN_WORD = (1 << WORD_BITS) - 1
_WORDS_BITS = BLOCK_BITS - WORD_BITS
_IN_BLOCK = (1 << _WORDS_BITS) - 1
_BLOCK_BYTES = 1 << (BLOCK_BITS - 3)
_ALL_BITS = (1 << (1 << BLOCK_BITS)) - 1
LAST_WORD = (1 << (32 - WORD_BITS)) - 1
MARK = -1
"""The word of a row that marks its tag as one to be folded; a row without masks."""

FOLD_AT = 256
"""Changes of a tag from which on they are folded into its blocks: as many are read with the tag in 0.2 ms."""

_MANY_WORDS = 64
"""From so many words on bits are put together, not ordinals."""
_MASK = struct.Struct("<I")
_ONE_BLOCK = struct.Struct("<IIHHI")
"""Before the bits of a bitmap of one block: a mark, the number of blocks, then its number, its count less one, and where
its bits begin."""
_HEAD = (12346, 1)
_MOST_IN_LIST = 4096

TagId = bytes
WordMask = tuple[int, int]
"""(word, mask): ordinals of one word."""

Carried = tuple[Sequence[TagId], Sequence[WordMask]]
"""Tags, and the ordinals that carry each of them."""

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


@lru_cache(maxsize=1 << 10)
def zone_id(zone: str) -> TagId:
    """Carried by the registrations of phones that say they are in a time zone."""
    return key_id(f"%zone:{zone}")


DEAD = key_id("%dead")
"""Carried by the registrations whose push channel is dead. These keep their own tags: to bring one back is one change."""


def words_of(ordinals: Sequence[int]) -> Sequence[WordMask]:
    """(word, mask) of ordinals; neighbours share a word."""
    first = ordinals[0] >> WORD_BITS
    if len(ordinals) == 1:
        return ((first, 1 << (ordinals[0] & _IN_WORD)),)
    if len(ordinals) == 2 and ordinals[1] >> WORD_BITS == first:  # a phone with a template
        return ((first, 1 << (ordinals[0] & _IN_WORD) | 1 << (ordinals[1] & _IN_WORD)),)
    words: dict[int, int] = {}
    for ordinal in ordinals:
        number = ordinal >> WORD_BITS
        words[number] = words.get(number, 0) | 1 << (ordinal & _IN_WORD)
    return tuple(words.items())


class TagChanges:
    """What one transaction changes in the index of a shard. No ordinal both gets and loses a tag.

    `new` and `gone` are for the log, as the mask of each tag by word: what ordinals carry that no registration ever had,
    and what those had whose registration is deleted.
    """

    __slots__ = ("added", "gone", "new", "removed")

    def __init__(self) -> None:
        self.added: dict[TagId, list[WordMask]] = defaultdict(list)
        self.removed: dict[TagId, list[WordMask]] = defaultdict(list)
        self.new: dict[int, dict[TagId, int]] = defaultdict(dict)
        self.gone: dict[int, dict[TagId, int]] = defaultdict(dict)

    def add(self, carried: Iterable[Carried]) -> None:
        """For ordinals that carry nothing."""
        added = self.added
        for tags, words in carried:
            if len(words) == 1:
                (word,) = words
                for tag in tags:
                    added[tag].append(word)
            else:
                for tag in tags:
                    added[tag] += words

    def add_new(self, carried: Iterable[Carried]) -> None:
        """For ordinals that no registration ever had."""
        _add_by_word(self.new, carried)

    def drop(self, carried: Iterable[Carried]) -> None:
        """For ordinals whose registration is deleted."""
        _add_by_word(self.gone, carried)

    def replace(self, before: Iterable[Carried], after: Iterable[Carried]) -> None:
        """From what some ordinals carried to what they carry."""
        old, new = _spread(before), _spread(after)
        for (tag, number), mask in new.items():
            if gained := mask & ~old.get((tag, number), 0):
                self.added[tag].append((number, gained))
        for (tag, number), mask in old.items():
            if lost := mask & ~new.get((tag, number), 0):
                self.removed[tag].append((number, lost))

    def rows(self) -> list[ChangeRow]:
        """In the order of the index, with a mark for each tag that may have many changes by now.

        Of 256 neighbouring words of a tag, one has a mark beside it: no counter that each write would wait for.
        """
        added, removed = self.added, self.removed
        rows: list[ChangeRow] = []
        for tag in sorted(added.keys() | removed.keys() if removed else added):
            of_tag = _rows_of(tag, added.get(tag, ()), removed.get(tag, ()))
            first = tag[0]
            for _, number, _, _ in of_tag:
                if number & 255 == first:
                    rows.append((tag, MARK, 0, 0))
                    break
            rows += of_tag
        return rows


def _add_by_word(masks: dict[int, dict[TagId, int]], carried: Iterable[Carried]) -> None:
    for tags, words in carried:
        for word, mask in words:
            of_word = masks[word]
            for tag in tags:
                of_word[tag] = of_word.get(tag, 0) | mask


def _rows_of(tag: TagId, added: Sequence[WordMask], removed: Sequence[WordMask]) -> Sequence[ChangeRow]:
    if len(added) == 1 and not removed:
        ((number, mask),) = added
        return ((tag, number, mask, 0),)
    gained, lost = _merged(added), _merged(removed)
    if not lost:
        return [(tag, number, mask, 0) for number, mask in sorted(gained.items())]
    numbers = sorted(gained.keys() | lost.keys())
    return [(tag, number, gained.get(number, 0), lost.get(number, 0)) for number in numbers]


def _merged(words: Iterable[WordMask]) -> dict[int, int]:
    masks: dict[int, int] = {}
    for number, mask in words:
        masks[number] = masks.get(number, 0) | mask
    return masks


def _spread(carried: Iterable[Carried]) -> dict[tuple[TagId, int], int]:
    masks: dict[tuple[TagId, int], int] = {}
    for tags, words in carried:
        for tag in tags:
            for number, mask in words:
                masks[tag, number] = masks.get((tag, number), 0) | mask
    return masks


@lru_cache(maxsize=1 << 14)
def _bits(mask: int) -> tuple[int, ...]:
    return tuple(bit for bit in range(1 << WORD_BITS) if mask >> bit & 1)


def ordinals_of(masks: Iterable[WordMask]) -> BitMap:
    """The ordinals of (word, mask) pairs; a pair without any, as that of a mark, may be among them."""
    masks = [each for each in masks if each[1]]
    if len(masks) < _MANY_WORDS:
        return BitMap([(word << WORD_BITS) + bit for word, mask in masks for bit in _bits(mask)])
    by_block: dict[int, bytearray] = {}
    for word, mask in masks:
        bits = by_block.get(word >> _WORDS_BITS)
        if bits is None:
            bits = by_block[word >> _WORDS_BITS] = bytearray(_BLOCK_BYTES)
        at = (word & _IN_BLOCK) << 2
        (old,) = _MASK.unpack_from(bits, at)
        _MASK.pack_into(bits, at, old | mask)
    return BitMap.union(*[_block_of(number, bits) for number, bits in by_block.items()])


def _block_of(number: int, bits: bytearray) -> BitMap:
    """A block of its bits, by way of the format in which bitmaps are kept (RoaringFormatSpec): ten times as quick as by a
    list of ordinals."""
    whole = int.from_bytes(bits, "little")
    if (count := whole.bit_count()) > _MOST_IN_LIST:
        return BitMap.deserialize(_ONE_BLOCK.pack(*_HEAD, number, count - 1, _ONE_BLOCK.size) + bits)
    # The format has bits for blocks of many alone: those that are not in it are.
    others = (whole ^ _ALL_BITS).to_bytes(_BLOCK_BYTES, "little")
    head = _ONE_BLOCK.pack(*_HEAD, number, (1 << BLOCK_BITS) - count - 1, _ONE_BLOCK.size)
    return BitMap.deserialize(head + others).flip(number << BLOCK_BITS, (number + 1) << BLOCK_BITS)


def members(
    blocks: Sequence[BitMap],
    changes: Sequence[tuple[int, int, int]],
    new: Sequence[WordMask] = (),
    gone: Sequence[WordMask] = (),
) -> BitMap:
    """The members of a tag, of its blocks, its (word, added, removed), marks among them, and its entries in the log."""
    result = _members(blocks, changes, new)
    return result - ordinals_of(gone) if gone else result


def _members(blocks: Sequence[BitMap], changes: Sequence[tuple[int, int, int]], new: Sequence[WordMask]) -> BitMap:
    if new:
        blocks = [*blocks, ordinals_of(new)]
    if not changes:
        return blocks[0] if len(blocks) == 1 else BitMap.union(BitMap(), *blocks)
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


def without(changes: Iterable[tuple[int, int, int]], gone: Iterable[WordMask]) -> list[tuple[int, int, int]]:
    """Changes of a tag after which it has lost what is `gone`."""
    masks = {word: (added, removed) for word, added, removed in changes}
    for word, mask in gone:
        added, removed = masks.get(word, (0, 0))
        masks[word] = added & ~mask, removed | mask
    return [(word, *both) for word, both in masks.items()]


def blocks_of(words: Iterable[WordMask]) -> Iterator[tuple[int, BitMap]]:
    """(block, bitmap) of (word, mask) pairs."""
    ordinals = ordinals_of(words)
    first, last = ordinals.min() >> BLOCK_BITS, ordinals.max() >> BLOCK_BITS
    if first == last:
        yield first, ordinals
        return
    for number in range(first, last + 1):
        if block := ordinals & BitMap(range(number << BLOCK_BITS, (number + 1) << BLOCK_BITS)):
            yield number, block
