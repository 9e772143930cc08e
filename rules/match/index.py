"""Which rules match an event, found without trying each.

Every rule is filed once: under its source, and there under one clause that few rules share (`type: …`, a prefix, a range,
an equality deep in the data). What an event costs grows with the rules that it finds, not with those there are: they are
tried one by one, without the clause that found them. Rules with the same `match` are one to the index. Rules whose clauses
many share are asked together, as a `Group`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rules.errors import RenderError, TypeClashError
from rules.event import Event
from rules.match.clauses import Clause
from rules.match.crowds import choose
from rules.match.filing import Filing
from rules.match.group import Group
from rules.match.lookups import Bucket, Entry
from rules.match.patterns import MATCH_ALL, Match

FEW = 16
"""So many rules are tried one by one in less time than a group is asked, and take less memory."""

_LONELY = 2
"""So many rules at a path are tried in less time than a value is looked up there."""

_FEW_DOUBTED = 64
"""So many rules are asked themselves where a value is of another kind than they compare."""

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

    def matching(self, event: Event) -> tuple[list[int], list[int]]:
        """The rules whose `match` says yes, and those whose `match` has no answer for this event, both in their order."""
        matching: list[int] = []
        unanswered: list[int] = []
        for rest, constants, positions in self.candidates(event):
            try:
                if rest is None or rest(constants, event):
                    matching += positions
            except (TypeClashError, RenderError):
                unanswered += positions
        return sorted(set(matching)), sorted(set(unanswered)) if unanswered else unanswered

    def candidates(self, event: Event) -> Sequence[Entry]:
        """The rules that can match, in no order, each with what is left to ask.

        Every rule that matches, or has no answer, is among them; of one that is there twice both ask the same.
        """
        found: list[Entry] = []
        if self._everywhere is not None:
            self._everywhere.find(event, found)
        of_source = self._by_source.get(event.origin)
        if of_source is not None:
            of_source.find(event, found)
        return found


class _Alike(NamedTuple):
    """The rules that have the same `match`, one or several."""

    match: Match
    positions: tuple[int, ...]

    def entry(self, rest: Match) -> Entry:
        """These rules, where `rest` is left to ask."""
        return rest.shaped if rest.attributes else None, rest.constants, self.positions


class _SourceIndex:
    """The rules of one source, each under its most selective clause."""

    def __init__(self, keys: Sequence[Key], positions: Iterable[int]) -> None:
        by_match: defaultdict[Match, list[int]] = defaultdict(list)
        for position in positions:
            by_match[keys[position][1]].append(position)
        rules = {own[0]: _Alike(match, tuple(own)) for match, own in by_match.items()}
        chosen: Mapping[int, Clause] = {}
        if len(rules) > _LONELY:
            chosen = choose({first: alike.match.asked().clauses for first, alike in rules.items()}, FEW)
            chosen = _without_lonely(chosen, len(rules))
        self._rules = rules
        self._tried = _Tried(rules, chosen)
        filed = [(clause.path, clause.atoms, first) for first, clause in chosen.items()]
        self._filing = Filing(filed, self._tried) if filed else None
        unfiled = [first for first in rules if first not in chosen]
        self._rest = self._tried.found(unfiled)
        vague = [rules[first] for first in unfiled if not rules[first].match.asked().narrows]
        self.unnarrowed = [position for alike in vague for position in alike.positions]

    def find(self, event: Event, found: list[Entry]) -> None:
        """Add the rules that can match, in no order; some may be there several times."""
        found += self._rest
        if self._filing is not None:
            doubts: list[Entry] = []
            self._filing.find(event, found, doubts)
            found += map(self._whole, doubts)
        if self._tried.has_crowds:
            _ask_crowds(event, found)

    def _whole(self, entry: Entry) -> Entry:
        """The rules of an entry with all that their `match` says to ask."""
        positions = entry[2]
        if not positions:
            return entry
        alike = self._rules[positions[0]]
        return alike.entry(alike.match)


def _ask_crowds(event: Event, found: list[Entry]) -> None:
    """Put the rules of each crowd that can match in its place."""
    crowds = {id(crowd): crowd for _, crowd, positions in found if not positions}
    if crowds:
        found[:] = [entry for entry in found if entry[2]]
        for crowd in crowds.values():
            found += crowd.find(event)


def _without_lonely(chosen: Mapping[int, Clause], count: int) -> Mapping[int, Clause]:
    """Without clauses at paths with hardly a rule, where so few rules have these that to try them takes less time."""
    at_path = Counter(clause.path for clause in chosen.values())
    left = {position: clause for position, clause in chosen.items() if at_path[clause.path] > _LONELY}
    return left if count - len(left) <= FEW else chosen


class _Tried:
    """The rules of a source, by the first of those alike, in buckets: a few are tried one by one, more asked together."""

    def __init__(self, rules: Mapping[int, _Alike], chosen: Mapping[int, Clause]) -> None:
        self._rules = rules
        self._everything: Bucket = ((None, _Crowd(rules), ()),)
        self.has_crowds = False
        rests: dict[Match, Match] = {}  # what many rules have left to ask is kept once, and so stays in the cache
        self._entries: dict[int, Entry] = {}
        for first, alike in rules.items():
            rest = alike.match.without(chosen[first]) if first in chosen else alike.match
            self._entries[first] = alike.entry(rests.setdefault(rest, rest))

    def found(self, positions: Iterable[int]) -> Bucket:
        """See `Buckets`."""
        found = sorted(set(positions))
        if len(found) <= FEW:
            return tuple(self._entries[first] for first in found)
        crowd = _Crowd({first: self._rules[first] for first in found})
        crowd.prepare()
        self.has_crowds = True
        return ((None, crowd, ()),)

    def doubted(self, positions: Iterable[int]) -> Bucket:
        """See `Buckets`. Kinds rarely clash: then many rules are the crowd of all, of which there is one."""
        found = sorted(set(positions))
        if len(found) <= _FEW_DOUBTED:
            return tuple(self._entries[first] for first in found)
        self.has_crowds = True
        return self._everything


class _Crowd:
    """Rules that are asked together. Unless it is prepared, that takes some time when it is first asked."""

    def __init__(self, rules: Mapping[int, _Alike]) -> None:
        self._rules = rules
        self._group: Group | None = None

    def prepare(self) -> Group:
        """Make what is asked."""
        self._group = Group(tuple(self._rules), [alike.match.asked() for alike in self._rules.values()])
        return self._group

    def find(self, event: Event) -> Iterable[Entry]:
        """The rules that can match."""
        for first, is_certain in (self._group or self.prepare()).find(event):
            alike = self._rules[first]
            yield alike.entry(MATCH_ALL if is_certain else alike.match)
