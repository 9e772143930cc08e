"""The index of tags in SQL: what a transaction reads of it, and the folding of its log and its changes into blocks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pyroaring import BitMap

from hub.store.connection import Connection, Row
from hub.store.decide.registering import Changes, StoredDevice, id_key
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
    key_id,
    members,
)
from hub.store.decide.tag_log import PARTS, carried_in, count_of, is_part, log_rows, part_of, words_in
from hub.store.registry import statements
from hub.store.registry.places import Place
from hub.store.registry.rows import device_of
from hub.tags import installation_in

FOLDED = 16
"""Tags that one transaction folds, at most."""


_MANY = 4
"""Words of a tag in the log, from which on they go into the tag's blocks, and not among its changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexShape:
    """How many changes of a tag are folded, and how many tags in one transaction; how many rows of the log, or entries in
    them, are folded. With so many rows a look at one tag reads 64 of them, in 0.05 ms; so many entries are what 4,000
    phones come to that have a dozen tags each.
    """

    fold_at: int = FOLD_AT
    folded: int = FOLDED
    log_rows: int = 64 * len(PARTS)
    log_entries: int = 60_000


class TagSets:
    """The members of tags, as one transaction sees them.

    Who carries the tag of an installation, its row says; of its secondary tiles, the index.
    """

    def __init__(self, connection: Connection, place: Place) -> None:
        self._connection = connection
        self._place = place
        self._changes: dict[TagId, list[tuple[int, int, int]]] = {}
        self._blocks: dict[TagId, list[bytes]] = {}
        self._log: dict[TagId, bytes] = {}
        self._members: dict[TagId, BitMap] = {}

    def load(self, tags: Iterable[TagId] = (), keys: Iterable[str] = ()) -> None:
        """What `members` needs of tags, by id or by key; what `is_known` does, of those by id, and by key but for tags of
        installations. One round trip, whatever the number, and one more for installations with secondary tiles; those that
        are loaded are not read again."""
        wanted = set(tags)
        installations: dict[str, TagId] = {}
        for key in keys:
            tag = key_id(key)
            if (installation := installation_in(key)) is None:
                wanted.add(tag)
            elif tag not in self._members:
                installations[installation] = tag
        missing = [tag for tag in wanted if tag not in self._changes]
        parts = list({part for tag in missing if (part := part_of(tag)) not in self._log})
        if not missing and not installations:
            return
        hub, shard = self._place
        changes, blocks, devices = self._connection.read_all_by_keys(
            [
                (statements.TAG_CHANGES, missing),
                (statements.TAG_BLOCKS, missing + parts),
                (statements.DEVICES_BY_INSTALLATION, list(installations)),
            ],
            hub=hub,
            shard=shard,
        )
        for tag in missing:
            self._changes[tag], self._blocks[tag] = [], []
        for tag, word, added, removed in changes:
            self._changes[tag].append((word, added, removed))
        entries: dict[TagId, list[bytes]] = {part: [] for part in parts}
        for tag, bitmap in blocks:
            (entries if is_part(tag) else self._blocks)[tag].append(bitmap)
        self._log |= {part: b"".join(of_part) for part, of_part in entries.items()}
        self._add_installations(installations, [device_of(row) for row in devices])

    def _add_installations(self, tags: Mapping[str, TagId], devices: Sequence[StoredDevice]) -> None:
        """`tags` are those that were asked for, by the key of the installation."""
        by_tag = {tags[id_key(each.installation_id)]: each for each in devices if each.installation_id is not None}
        tiled = [tag for tag, device in by_tag.items() if device.tiles]
        self.load(tiled)
        for tag in tags.values():
            members = self._in_index(tag) if tag in tiled else BitMap()
            if tag in by_tag:
                members |= BitMap([ordinal for ordinal, _ in by_tag[tag].registrations()])
            self._members[tag] = members

    def members(self, tag: TagId) -> BitMap:
        """The ordinals that carry a tag that was loaded."""
        found = self._members.get(tag)
        if found is None:
            found = self._members[tag] = self._in_index(tag)
        return found

    def _in_index(self, tag: TagId) -> BitMap:
        blocks = [BitMap.deserialize(block) for block in self._blocks[tag]]  # not all that are loaded are asked for
        return members(blocks, self._changes[tag], self._new(tag))

    def is_known(self, tag: TagId) -> bool:
        """Whether a registration carries a tag that was loaded, or did."""
        return bool(self._changes[tag] or self._blocks[tag] or self._new(tag))

    def _new(self, tag: TagId) -> list[WordMask]:
        entries = self._log[part_of(tag)]
        return words_in(entries, tag) if entries else []


def change_tags(connection: Connection, place: Place, changes: TagChanges) -> None:
    connection.insert_many(statements.CHANGE_TAGS, change_rows(place, changes))


def change_rows(place: Place, changes: TagChanges) -> list[Row]:
    hub, shard = place
    return [(hub, shard, *row) for row in changes.rows()]


class LogSize(NamedTuple):
    """Rows of the log, and entries in them."""

    rows: int
    entries: int


def log_rows_of(place: Place, changes: Changes) -> list[Row]:
    """Rows of the log, for `statements.PUT_BLOCKS`: a transaction is known by an ordinal that it alone gave out."""
    hub, shard = place
    return [(hub, shard, part, changes.first_new, entries) for part, entries in log_rows(changes.tags.new)]


def size_of(rows: Sequence[Row]) -> LogSize:
    """Of rows whose last column are entries."""
    return LogSize(len(rows), sum([count_of(row[-1]) for row in rows]))


def are_marked(connection: Connection, place: Place) -> bool:
    """Whether `fold_tags` finds any."""
    return bool(connection.read(statements.MARKED_TAGS, hub=place.hub, shard=place.shard, limit=1))


def fold_tags(connection: Connection, place: Place, shape: IndexShape = IndexShape()) -> int:
    """Take the marks of some tags away, and move the changes of those that have many into their blocks; how many tags.

    What is taken out is what is folded: a change that comes in between stays for the next time. What the log says of these
    tags goes with it, for it is older.
    """
    hub, shard = place
    connection.read(statements.HOLD_INDEX, hub=hub, shard=shard)
    marked = connection.read(statements.COUNTED_TAGS, hub=hub, shard=shard, limit=shape.folded)
    taken = connection.update_many(
        statements.TAKE_CHANGES,
        [(hub, shard, tag, MARK, LAST_WORD if count > shape.fold_at else MARK) for tag, count in marked],
    )
    changes: dict[TagId, list[tuple[int, int, int]]] = {}
    for tag, word, added, removed in taken:
        if word != MARK:
            changes.setdefault(tag, []).append((word, added, removed))
    _fold(connection, place, take_log(connection, place, {part_of(tag) for tag in changes}), changes)
    return len(marked)


def fold_log(connection: Connection, place: Place, part: TagId) -> LogSize:
    """Move a part of the log into the index, what many new registrations carry into blocks; what there was of it."""
    connection.read(statements.HOLD_INDEX, hub=place.hub, shard=place.shard)
    log = take_log(connection, place, [part])
    _fold(connection, place, log, {})
    return size_of([(entries,) for entries in log])


def take_log(connection: Connection, place: Place, parts: Iterable[TagId]) -> list[bytes]:
    """The entries of these parts, which the caller has to put into the index in this transaction."""
    rows = connection.update_many(statements.TAKE_LOG, [(*place, part) for part in sorted(parts)])
    return [entries for (entries,) in rows]


def log_parts(connection: Connection, place: Place) -> list[TagId]:
    """The parts of the log that have anything in them."""
    rows = connection.read_by_keys(statements.LOG_PARTS, list(PARTS), hub=place.hub, shard=place.shard)
    return [part for (part,) in rows]


def new_rows(place: Place, carried: Mapping[TagId, list[WordMask]]) -> list[Row]:
    """For `statements.ADD_NEW`: what the log said of tags, as it stands in the index where a tag has no blocks."""
    changes = TagChanges()
    changes.added.update(carried)
    return change_rows(place, changes)


def _fold(
    connection: Connection, place: Place, log: Sequence[bytes], changes: Mapping[TagId, Sequence[tuple[int, int, int]]]
) -> None:
    """Put entries of the log and, on top of them, changes of tags into the blocks; entries of few into the changes."""
    few = carried_in(log)
    new = {tag: few.pop(tag) for tag in [*few] if tag in changes or len(few[tag]) >= _MANY}
    words = [word for rows in changes.values() for word, _, _ in rows]
    words += [word for of_tag in new.values() for word, _ in of_tag]
    old = _blocks(connection, place, sorted(changes.keys() | new.keys()), min(words), max(words)) if words else {}
    rows: list[Row] = []
    for tag in sorted(changes.keys() | new.keys()):
        before, after = old.get(tag, {}), {}
        for number, block in blocks_of(new[tag]) if tag in new else ():
            after[number] = block | before[number] if number in before else block
        after |= fold(before | after, changes.get(tag, ()))
        rows += [(*place, tag, number, _serialized(block)) for number, block in after.items()]
    connection.write_all([(statements.PUT_BLOCKS, rows), (statements.ADD_NEW, new_rows(place, few))])


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
