"""The index of tags against a dictionary of sets: appended, folded, erased, with ordinals given out again."""

from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pyroaring import BitMap

from hub.store.decide.tag_index import (
    BLOCK_BITS,
    MARK,
    WORD_BITS,
    TagChanges,
    TagId,
    WordMask,
    blocks_of,
    fold,
    members,
    ordinals_of,
    tag_id,
    without,
    words_of,
)
from hub.store.decide.tag_log import GONE_PARTS, PARTS, carried_in, gone_part_of, log_rows, part_of, words_in

TAGS = [tag_id(name) for name in ("red", "green", "blue")]
EDGES = (1 << WORD_BITS, 1 << BLOCK_BITS, 1 << BLOCK_BITS + 1)
"""Where words and blocks end."""

ordinals = st.sampled_from([edge + step for edge in EDGES for step in range(-2, 3)])
tag_sets = st.frozensets(st.sampled_from(TAGS))


class TagIndexMachine(RuleBasedStateMachine):
    """A registration is an ordinal with a set of tags. Changes are merged into rows as the statement does it."""

    def __init__(self) -> None:
        super().__init__()
        self.carried: dict[int, frozenset[TagId]] = {}
        self.dropped: set[int] = set()
        self.changes: dict[TagId, dict[int, tuple[int, int]]] = defaultdict(dict)
        self.blocks: dict[TagId, dict[int, BitMap]] = defaultdict(dict)
        self.log: list[tuple[TagId, bytes]] = []
        self.gone: list[tuple[TagId, bytes]] = []

    @rule(wanted=st.dictionaries(ordinals, tag_sets, min_size=1))
    def put(self, wanted: dict[int, frozenset[TagId]]) -> None:
        """A free ordinal is given to another registration, one in use gets other tags, one without tags is erased."""
        changes = TagChanges()
        for ordinal, tags in wanted.items():
            if ordinal in self.dropped:
                continue
            words = words_of([ordinal])
            before = self.carried.get(ordinal)
            if before is None:
                changes.add([(sorted(tags), words)])
            else:
                changes.replace([(sorted(before), words)], [(sorted(tags), words)])
            self.carried[ordinal] = tags
        self._append(changes)

    @rule(wanted=st.sets(ordinals, min_size=1), tags=tag_sets)
    def add_new(self, wanted: set[int], tags: frozenset[TagId]) -> None:
        """What ordinals carry that never carried anything goes into the log."""
        changes = TagChanges()
        for ordinal in sorted(wanted - self.carried.keys()):
            changes.add_new([(sorted(tags), words_of([ordinal]))])
            self.carried[ordinal] = tags
        assert changes.rows() == []
        self.log += log_rows(changes.new)

    @rule(wanted=st.sets(ordinals, min_size=1))
    def drop(self, wanted: set[int]) -> None:
        """What ordinals had whose registration is deleted goes into the log; they are not given out again before a fold."""
        changes = TagChanges()
        for ordinal in sorted(wanted & self.carried.keys()):
            if self.carried[ordinal]:
                changes.drop([(sorted(self.carried[ordinal]), words_of([ordinal]))])
                self.carried[ordinal] = frozenset()
                self.dropped.add(ordinal)
        assert changes.rows() == []
        self.gone += log_rows(changes.gone, GONE_PARTS)

    @rule(part=st.sampled_from(range(len(PARTS))), few=st.integers(1, 3))
    def fold_log(self, part: int, few: int) -> None:
        """Into the blocks where a tag has many words there, else under the changes; what is gone comes last."""
        for tag, words in carried_in(self._take(part)).items():
            if len(words) > few:
                self._put_in_blocks(tag, words)
            else:
                self._put_under_changes(tag, words)
        for tag, words in carried_in(self._take_gone(part)).items():
            if len(words) > few:
                self._fold_changes(tag, words)
            else:
                self._take_out(tag, words)

    @rule(tag=st.sampled_from(TAGS))
    def fold(self, tag: TagId) -> None:
        """The new half of the part's log first, which is older, and what is gone last."""
        for each, words in carried_in(self._take(tag[0] >> 4)).items():
            self._put_in_blocks(each, words)
        gone = carried_in(self._take_gone(tag[0] >> 4))
        self._fold_changes(tag, gone.pop(tag, []))
        for each, words in gone.items():
            self._take_out(each, words)

    @rule()
    def fold_all(self) -> None:
        """Now the ordinals may be given out again."""
        for part in range(len(PARTS)):
            self.fold_log(part, 1)
        self.dropped.clear()

    def _fold_changes(self, tag: TagId, gone: Sequence[WordMask]) -> None:
        rows = without([(number, *masks) for number, masks in self.changes.pop(tag, {}).items()], gone)
        self.blocks[tag] |= fold(self.blocks[tag], rows)

    def _take_out(self, tag: TagId, words: Sequence[WordMask]) -> None:
        changes = TagChanges()
        changes.removed[tag] += words
        self._append(changes)

    def _take_gone(self, part: int) -> list[bytes]:
        taken = [entries for each, entries in self.gone if each == GONE_PARTS[part]]
        self.gone = [row for row in self.gone if row[0] != GONE_PARTS[part]]
        return taken

    def _take(self, part: int) -> list[bytes]:
        taken = [entries for each, entries in self.log if each == PARTS[part]]
        self.log = [row for row in self.log if row[0] != PARTS[part]]
        return taken

    def _put_in_blocks(self, tag: TagId, words: Sequence[WordMask]) -> None:
        for number, block in blocks_of(words):
            self.blocks[tag][number] = self.blocks[tag].get(number, BitMap()) | block

    def _put_under_changes(self, tag: TagId, words: Sequence[WordMask]) -> None:
        for number, mask in words:
            added, removed = self.changes[tag].get(number, (0, 0))
            self.changes[tag][number] = added | (mask & ~removed), removed

    def _append(self, changes: TagChanges) -> None:
        rows = changes.rows()
        assert rows == sorted(rows)
        assert len({row[:2] for row in rows}) == len(rows)
        for tag, number, added, removed in rows:
            if number != MARK:
                old_added, old_removed = self.changes[tag].get(number, (0, 0))
                self.changes[tag][number] = (old_added | added) & ~removed, (old_removed | removed) & ~added

    @invariant()
    def members_are_those_that_carry(self) -> None:
        for tag in TAGS:
            rows = [(number, *masks) for number, masks in self.changes[tag].items()]
            expected = {ordinal for ordinal, tags in self.carried.items() if tag in tags}
            new = [word for part, row in self.log if part == part_of(tag) for word in words_in(row, tag)]
            gone = [word for part, row in self.gone if part == gone_part_of(tag) for word in words_in(row, tag)]
            assert set(members(list(self.blocks[tag].values()), rows, new, gone)) == expected


TestTagIndex = pytest.mark.slow(TagIndexMachine.TestCase)


def test_one_word_in_256_marks_its_tag_beside_it() -> None:
    tag = bytes([7]) + bytes(15)
    for number, marked in ((6, False), (7, True), (7 + 256, True), (8, False)):
        changes = TagChanges()
        changes.add([([tag], words_of([number << WORD_BITS]))])
        assert ((tag, MARK, 0, 0) in changes.rows()) is marked


@pytest.mark.parametrize("count", [1, 63, 64, 200])
def test_a_mark_among_changes_is_no_ordinal(count: int) -> None:
    changes = [(MARK, 0, 0), *((word, 1, 2) for word in range(count))]
    assert set(members([], changes)) == {word << WORD_BITS for word in range(count)}
    assert set(members([BitMap([1, 2])], changes, gone=[(0, 1)])) == {2, *(word << 5 for word in range(1, count))}


def test_an_entry_of_the_log_is_found_by_its_tag_alone() -> None:
    """Not by bytes across two of its fields that look like it."""
    entries = bytes(8) + TAGS[0] + TAGS[0] + (5).to_bytes(4, "little") + (6).to_bytes(4, "little")
    assert words_in(entries, TAGS[0]) == [(5, 6)]
    assert words_in(entries, TAGS[1]) == []


def test_the_log_keeps_the_words_of_each_tag_by_part() -> None:
    changes = TagChanges()
    changes.add_new([([TAGS[0], TAGS[1]], words_of([1, 2])), ([TAGS[0]], words_of([3, 40]))])
    rows = log_rows(changes.new)
    assert {part for part, _ in rows} == {part_of(TAGS[0]), part_of(TAGS[1])}
    assert carried_in(entries for _, entries in rows) == {TAGS[0]: [(0, 0b1110), (1, 1 << 8)], TAGS[1]: [(0, 0b110)]}


@pytest.mark.parametrize("mask", [1, 0x8000_0001, 0x5555_5555, 0xFFFF_FFFF])
@pytest.mark.parametrize("words", [range(70), range(2000, 2200), range(0, 4096, 3), range((1 << 27) - 100, 1 << 27)])
def test_many_words_are_the_ordinals_that_they_spell(words: range, mask: int) -> None:
    """In blocks of few and of many, across their ends, up to the last ordinal."""
    spelt = [(word << WORD_BITS) + bit for word in words for bit in range(32) if mask >> bit & 1]
    found = ordinals_of([*((word, mask) for word in words), (words[0], mask), (words[0], 0)])
    assert found == BitMap(spelt)
    assert BitMap.deserialize(found.serialize()) == found
