"""The index of tags against a dictionary of sets: appended, folded, erased, with ordinals given out again."""

from collections import defaultdict

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
    blocks_of,
    fold,
    members,
    tag_id,
    words_of,
)

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
        self.changes: dict[TagId, dict[int, tuple[int, int]]] = defaultdict(dict)
        self.blocks: dict[TagId, dict[int, BitMap]] = defaultdict(dict)

    @rule(wanted=st.dictionaries(ordinals, tag_sets, min_size=1))
    def put(self, wanted: dict[int, frozenset[TagId]]) -> None:
        """A free ordinal is given to another registration, one in use gets other tags, one without tags is erased."""
        changes = TagChanges()
        for ordinal, tags in wanted.items():
            words = words_of([ordinal])
            before = self.carried.get(ordinal)
            if before is None:
                changes.add([(sorted(tags), words)])
            else:
                changes.replace([(sorted(before), words)], [(sorted(tags), words)])
            self.carried[ordinal] = tags
        self._append(changes)

    @rule(wanted=st.sets(ordinals, min_size=1), tags=tag_sets)
    def import_new(self, wanted: set[int], tags: frozenset[TagId]) -> None:
        """What more than one device gets goes into blocks at once, for ordinals that never carried anything."""
        new = sorted(wanted - self.carried.keys())
        changes = TagChanges()
        for ordinal in new:
            changes.add([(sorted(tags), words_of([ordinal]))])
            self.carried[ordinal] = tags
        for tag, words in changes.take_added(at_least=2).items():
            for number, block in blocks_of(words):
                self.blocks[tag][number] = self.blocks[tag].get(number, BitMap()) | block
        self._append(changes)

    @rule(tag=st.sampled_from(TAGS))
    def fold(self, tag: TagId) -> None:
        rows = [(number, *masks) for number, masks in self.changes.pop(tag, {}).items()]
        self.blocks[tag] |= fold(self.blocks[tag], rows)

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
            assert set(members(list(self.blocks[tag].values()), rows)) == expected


TestTagIndex = pytest.mark.slow(TagIndexMachine.TestCase)


def test_one_word_in_256_marks_its_tag_beside_it() -> None:
    tag = bytes([7]) + bytes(15)
    for number, marked in ((6, False), (7, True), (7 + 256, True), (8, False)):
        changes = TagChanges()
        changes.add([([tag], words_of([number << WORD_BITS]))])
        assert ((tag, MARK, 0, 0) in changes.rows()) is marked


def test_what_many_get_is_taken_out_of_the_changes() -> None:
    changes = TagChanges()
    changes.add([([TAGS[0], TAGS[1]], words_of([1, 2])), ([TAGS[0]], words_of([40]))])
    assert changes.take_added(at_least=2) == {TAGS[0]: [(0, 0b110), (1, 1 << 8)]}
    assert [row[0] for row in changes.rows() if row[1] != MARK] == [TAGS[1]]
