"""Which rules can match an event, found without trying each.

Every rule is filed once: under its source, and there under one clause that few rules share (`type: …`, a prefix, a range,
an equality deep in the data). What an event costs grows with the rules that it finds, not with those there are: they are
tried one by one, without the clause that found them. Rules whose clauses many share are asked together, as a `Group`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from rules.event import Event
from rules.match.clauses import Clause
from rules.match.crowds import choose
from rules.match.filing import Filing
from rules.match.group import Group
from rules.match.lookups import CROWD, Bucket, Entry
from rules.match.patterns import Match

FEW = 16
"""So many rules are tried one by one in less time than a group is asked, and take less memory."""

_LONELY = 2
"""So many rules at a path are tried in less time than a value is looked up there."""

_FEW_DOUBTED = 64
"""So many rules are asked themselves where a value is of another kind than they compare."""

_POSITION = itemgetter(0)

Key = tuple[frozenset[str] | None, Match]
"""What the index is told of a rule: its sources (None: all), and its `match`."""


class Index:
    """Finds rules by their positions in the sequence it was built from."""

    def __init__(self, keys: Sequence[Key]) -> None:
        by_source: defaultdict[str, list[int]] = defaultdict(list)
        everywhere: list[int] = []
        for position, (sources, _) in enumerate(keys):
            if sources is None:
                everywhere.append(position)
            for source in sources or ():
                by_source[source].append(position)
        self._everywhere = _SourceIndex(keys, everywhere) if everywhere else None
        self._by_source = {source: _SourceIndex(keys, positions) for source, positions in by_source.items()}

    def always(self, source: str) -> Sequence[int]:
        """Positions of the rules that a look-up leaves for nearly every event of a source, ascending."""
        indexes = (self._everywhere, self._by_source.get(source))
        return sorted({position for index in indexes if index is not None for position in index.unnarrowed})

    def candidates(self, event: Event) -> Sequence[Entry]:
        """The rules that can match, in their order, and what is left to ask of each as its `rest`.

        Every rule that matches, or has no answer, is among them, some of them twice, one behind the other.
        """
        found: list[Entry] = []
        if self._everywhere is not None:
            self._everywhere.find(event, found)
        of_source = self._by_source.get(event.origin)
        if of_source is not None:
            of_source.find(event, found)
        found.sort(key=_POSITION)
        return _without_crowds(event, found) if found and found[0][0] == CROWD else found


class _SourceIndex:
    """The rules of one source, each under its most selective clause."""

    def __init__(self, keys: Sequence[Key], positions: Sequence[int]) -> None:
        matches = {position: keys[position][1] for position in positions}
        chosen: Mapping[int, Clause] = {}
        if len(positions) > _LONELY:
            chosen = choose({position: match.asked().clauses for position, match in matches.items()}, FEW)
            chosen = _without_lonely(chosen, len(positions))
        self._tried = _Tried(matches, chosen)
        filed = [(clause.path, clause.atoms, position) for position, clause in chosen.items()]
        self._filing = Filing(filed, self._tried) if filed else None
        unfiled = [position for position in positions if position not in chosen]
        self._rest = self._tried.found(unfiled)
        self.unnarrowed = [position for position in unfiled if not matches[position].asked().narrows]

    def find(self, event: Event, found: list[Entry]) -> None:
        """Add the rules that can match, in no order; one may be there several times."""
        found += self._rest
        if self._filing is not None:
            doubts: list[Entry] = []
            self._filing.find(event, found, doubts)
            if doubts:
                found += [entry[3] or entry for entry in doubts]


def _without_crowds(event: Event, found: Sequence[Entry]) -> list[Entry]:
    """The rules with those of the crowds that can match, in order."""
    rules = [entry for entry in found if entry.position != CROWD]
    crowds = {id(entry.constants): entry.constants for entry in found[: len(found) - len(rules)]}
    for crowd in crowds.values():
        rules += crowd.find(event)
    rules.sort(key=_POSITION)
    return rules


def _without_lonely(chosen: Mapping[int, Clause], count: int) -> Mapping[int, Clause]:
    """Without clauses at paths with hardly a rule, where so few rules have these that to try them takes less time."""
    at_path = Counter(clause.path for clause in chosen.values())
    left = {position: clause for position, clause in chosen.items() if at_path[clause.path] > _LONELY}
    return left if count - len(left) <= FEW else chosen


class _Tried:
    """The rules of a source, in buckets: a few are tried one by one, more are asked together."""

    def __init__(self, matches: Mapping[int, Match], chosen: Mapping[int, Clause]) -> None:
        self._matches = matches
        self._entries = {
            position: _entry(position, match.without(chosen[position]), _entry(position, match))
            if position in chosen
            else _entry(position, match)
            for position, match in matches.items()
        }
        self._everything = (Entry(CROWD, constants=_Crowd(matches)),)

    def found(self, positions: Iterable[int]) -> Bucket:
        """See `Buckets`."""
        found = sorted(set(positions))
        if len(found) <= FEW:
            return tuple(self._entries[position] for position in found)
        crowd = _Crowd({position: self._matches[position] for position in found})
        crowd.prepare()
        return (Entry(CROWD, constants=crowd),)

    def doubted(self, positions: Iterable[int]) -> Bucket:
        """See `Buckets`. Kinds rarely clash: then many rules are the crowd of all, of which there is one."""
        found = sorted(set(positions))
        return tuple(self._entries[position] for position in found) if len(found) <= _FEW_DOUBTED else self._everything


class _Crowd:
    """Rules that are asked together. Unless it is prepared, that takes some time when it is first asked."""

    def __init__(self, matches: Mapping[int, Match]) -> None:
        self._matches = matches
        self._group: Group | None = None

    def prepare(self) -> Group:
        """Make what is asked."""
        positions = sorted(self._matches)
        self._group = Group(positions, [self._matches[position].asked() for position in positions])
        return self._group

    def find(self, event: Event) -> Iterable[Entry]:
        """The rules that can match."""
        for position, is_certain in (self._group or self.prepare()).find(event):
            yield Entry(position) if is_certain else _entry(position, self._matches[position])


def _entry(position: int, asked: Match, whole: Entry | None = None) -> Entry:
    return Entry(position, asked.shaped if asked.attributes else None, asked.constants, whole)
