"""The index of tags in SQL: what a transaction reads of it, and the folding of its log and its changes into blocks."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pyroaring import BitMap

from hub.store.connection import Connection, Row
from hub.store.decide.changes import Changes
from hub.store.decide.device import StoredDevice, id_key
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
    without,
)
from hub.store.decide.tag_log import (
    GONE_PARTS,
    PARTS,
    carried_in,
    count_of,
    gone_part_of,
    is_part,
    log_rows,
    part_of,
    words_in,
)
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
        halves = {part for tag in missing for part in (part_of(tag), gone_part_of(tag))}
        parts = [part for part in halves if part not in self._log]
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
        new, gone = self._entries(tag, part_of), self._entries(tag, gone_part_of)
        return members(blocks, self._changes[tag], new, gone)

    def is_known(self, tag: TagId) -> bool:
        """Whether a registration carries a tag that was loaded, or did."""
        if self._changes[tag] or self._blocks[tag]:  # the log is read for the rest alone
            return True
        return bool(self._entries(tag, part_of) or self._entries(tag, gone_part_of))

    def _entries(self, tag: TagId, part: Callable[[TagId], TagId]) -> list[WordMask]:
        entries = self._log[part(tag)]
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
    """Rows of the log, for `statements.PUT_BLOCKS`. Each is known by an ordinal that its transaction gave out, or freed."""
    hub, shard = place
    new, gone = log_rows(changes.tags.new), log_rows(changes.tags.gone, GONE_PARTS)
    rows: list[Row] = [(hub, shard, part, changes.first_new, entries) for part, entries in new]
    return rows + [(hub, shard, part, changes.first_gone, entries) for part, entries in gone]


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
    _fold(connection, place, take_log(connection, place, {tag[0] >> 4 for tag in changes}), changes)
    return len(marked)


def fold_log(connection: Connection, place: Place, part: int) -> LogSize:
    """Move a part of the log into the index, what many registrations carry or carried into blocks; what there was of it."""
    hub, shard = place
    connection.read(statements.HOLD_INDEX, hub=hub, shard=shard)
    log = take_log(connection, place, [part])
    many = sorted(tag for tag, words in log.gone.items() if len(words) >= _MANY)
    taken = connection.update_many(statements.TAKE_CHANGES, [(hub, shard, tag, 0, LAST_WORD) for tag in many])
    changes: dict[TagId, list[tuple[int, int, int]]] = {tag: [] for tag in many}
    for tag, *masks in taken:
        word, added, removed = masks
        changes[tag].append((word, added, removed))
    _fold(connection, place, log, changes)
    return log.size


class TakenLog(NamedTuple):
    """What parts of the log said, by tag, and how much that was."""

    new: dict[TagId, list[WordMask]]
    gone: dict[TagId, list[WordMask]]
    size: LogSize


def take_log(connection: Connection, place: Place, parts: Iterable[int]) -> TakenLog:
    """The entries of these parts, which the caller has to put into the index in this transaction."""
    halves = sorted(half[part] for part in parts for half in (PARTS, GONE_PARTS))
    rows = connection.update_many(statements.TAKE_LOG, [(*place, part) for part in halves])
    return TakenLog(
        new=carried_in(entries for part, entries in rows if part in PARTS),
        gone=carried_in(entries for part, entries in rows if part not in PARTS),
        size=size_of(rows),
    )


def log_parts(connection: Connection, place: Place) -> list[int]:
    """The parts of the log that have anything in them."""
    parts = [*PARTS, *GONE_PARTS]
    rows = connection.read_by_keys(statements.LOG_PARTS, parts, hub=place.hub, shard=place.shard)
    return sorted({part[1] for (part,) in rows})


def new_rows(place: Place, carried: Mapping[TagId, list[WordMask]]) -> list[Row]:
    """For `statements.ADD_NEW`: what the log said of tags, as it stands in the index where a tag has no blocks."""
    changes = TagChanges()
    changes.added.update(carried)
    return change_rows(place, changes)


def gone_rows(place: Place, gone: Mapping[TagId, list[WordMask]]) -> list[Row]:
    """For `statements.CHANGE_TAGS`: what the log said that tags have lost."""
    changes = TagChanges()
    changes.removed.update(gone)
    return change_rows(place, changes)


def _fold(
    connection: Connection, place: Place, log: TakenLog, changes: Mapping[TagId, Sequence[tuple[int, int, int]]]
) -> None:
    """Put new entries of the log, on top of them changes of tags, and on top of these gone entries into the blocks; where a
    tag has no changes here, gone entries and few new ones into its changes."""
    few, gone = dict(log.new), dict(log.gone)
    changes = {tag: without(rows, gone.pop(tag, ())) for tag, rows in changes.items()}
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
    connection.write_all(
        [
            (statements.PUT_BLOCKS, rows),
            (statements.ADD_NEW, new_rows(place, few)),
            (statements.CHANGE_TAGS, gone_rows(place, gone)),
        ]
    )


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
