"""What new registrations carry and deleted ones carried, before the index of tags says so: rows of writes. No database.

A phone that registers has a dozen tags, each with a place of its own in the index, and 64 phones change 500 places. In the
log they fill a few pages. The log is folded into the index once that is worth it, for thousands of phones at a time.

One half of it holds ordinals that no registration ever had, and what these got at first: each change of the index
(`tag_index`) came later than the entry that it contradicts. The other half holds ordinals whose registration is deleted,
and what these had at last: each change of the index came before. An ordinal is given out again only when no entry names it
any more. So entries of a half may be folded in any order, and the members of a tag are those of its blocks and its new
entries, without what its changes took out, with what these put in, and without its gone entries.

A transaction writes a row for each *part* of the tags and each half, so that a read needs the parts of its tags alone. An
entry is a tag's id, a word and a mask.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence

from hub.store.decide.tag_index import TagId, WordMask

_ENTRY = struct.Struct("<16sII")
_WORD_MASK = struct.Struct("<II")
_TAG_BYTES = 16

PARTS = tuple(bytes((0, number)) for number in range(16))
"""What the rows of each part stand under, in the place of a tag: shorter than the id of any."""
GONE_PARTS = tuple(bytes((1, number)) for number in range(16))
"""The same for what is deleted."""


def part_of(tag: TagId) -> TagId:
    return PARTS[tag[0] >> 4]


def gone_part_of(tag: TagId) -> TagId:
    return GONE_PARTS[tag[0] >> 4]


def is_part(tag: TagId) -> bool:
    return len(tag) < _TAG_BYTES


def log_rows(
    carried: Mapping[int, Mapping[TagId, int]], parts_of_half: Sequence[TagId] = PARTS
) -> list[tuple[TagId, bytes]]:
    """(part, entries) of what ordinals carry or carried: the mask of each tag by word."""
    parts: list[list[bytes]] = [[] for _ in parts_of_half]
    pack = _WORD_MASK.pack
    for word, masks in carried.items():
        for tag, mask in masks.items():
            parts[tag[0] >> 4] += tag, pack(word, mask)
    return [(part, b"".join(entries)) for part, entries in zip(parts_of_half, parts, strict=True) if entries]


def count_of(entries: bytes) -> int:
    return len(entries) // _ENTRY.size


def words_in(entries: bytes, tag: TagId) -> list[WordMask]:
    """What entries say of one tag."""
    words = []
    find, unpack = entries.find, _WORD_MASK.unpack_from
    at = find(tag)
    while at >= 0:
        if at % _ENTRY.size == 0:
            words.append(unpack(entries, at + _TAG_BYTES))
            at = find(tag, at + _ENTRY.size)
        else:  # the bytes of two fields that look like it
            at = find(tag, at + 1)
    return words


def carried_in(entries: Iterable[bytes]) -> dict[TagId, list[WordMask]]:
    """What all entries say, by tag."""
    carried: dict[TagId, list[WordMask]] = {}
    for row in entries:
        for tag, word, mask in _ENTRY.iter_unpack(row):
            words = carried.get(tag)
            if words is None:
                carried[tag] = [(word, mask)]
            else:
                words.append((word, mask))
    return carried
