"""Which rules match an event, found without trying each.

Every rule is filed once: under its source, and there under one clause that few rules share (`type: …`, a prefix, a range,
an equality deep in the data). What an event costs grows with the rules that it finds, not with those there are: they are
tried one by one, without the clause that found them. Rules with the same `match` are one to the index. Rules whose clauses
many share are asked together, as a `Group`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rules.errors import RenderError, TypeClashError
from rules.event import Event
from rules.match.clauses import Clause
from rules.match.crowds import choose
from rules.match.filing import Filing
from rules.match.group import Group
from rules.match.lookups import Bucket, Entry, Found
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
        crowds = self._ask(self._found(event), event, matching, unanswered)
        for crowd in crowds:
            self._ask(crowd.find(event), event, matching, unanswered)
        return sorted(set(matching)), sorted(set(unanswered)) if unanswered else unanswered

    def _ask(self, found: Found, event: Event, matching: list[int], unanswered: list[int]) -> "Iterable[_Crowd]":
        """Add the rules of entries to the answer that they give; crowds are left to the caller."""
        crowds: dict[int, _Crowd] = {}
        parts = iter(found)
        for rest, constants, rules in zip(parts, parts, parts):  # noqa: B905 # strict would cost as much as a test
            try:
                if rest is not None and not rest(constants, event):
                    continue
            except (TypeClashError, RenderError):
                unanswered += _positions(rules)
                continue
            if type(rules) is int:
                matching.append(rules)
            elif type(rules) is tuple:
                matching += rules
            else:
                crowds[id(rules)] = rules
        return crowds.values()

    def candidates(self, event: Event) -> Sequence[Entry]:
        """The rules that can match, in no order, each with what is left to ask.

        Every rule that matches, or has no answer, is among them; of one that is there twice both ask the same.
        """
        found = _entries(self._found(event))
        crowds = {id(rules): rules for _, _, rules in found if isinstance(rules, _Crowd)}
        found = [entry for entry in found if not isinstance(entry[2], _Crowd)]
        for crowd in crowds.values():
            found += _entries(crowd.find(event))
        return [(rest, constants, _positions(rules)) for rest, constants, rules in found]

    def _found(self, event: Event) -> Found:
        found: Found = []
        if self._everywhere is not None:
            self._everywhere.find(event, found)
        of_source = self._by_source.get(event.origin)
        if of_source is not None:
            of_source.find(event, found)
        return found


def _entries(found: Found) -> list[Entry]:
    parts = iter(found)
    return list(zip(parts, parts, parts, strict=True))


def _positions(rules: int | tuple[int, ...]) -> tuple[int, ...]:
    return (rules,) if isinstance(rules, int) else rules


class _Alike(NamedTuple):
    """The rules that have the same `match`, one or several."""

    match: Match
    positions: tuple[int, ...]

    def entry(self, rest: Match) -> Entry:
        """These rules, where `rest` is left to ask."""
        rules = self.positions if len(self.positions) > 1 else self.positions[0]
        return rest.shaped if rest.attributes else None, rest.constants, rules


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
        tried = _Tried(rules, chosen)
        filed = [(clause.path, clause.atoms, first) for first, clause in chosen.items()]
        self._filing = Filing(filed, tried) if filed else None
        unfiled = [first for first in rules if first not in chosen]
        self._rest = tried.found(unfiled)
        vague = [rules[first] for first in unfiled if not rules[first].match.asked().narrows]
        self.unnarrowed = [position for alike in vague for position in alike.positions]

    def find(self, event: Event, found: Found) -> None:
        """Add the rules that can match, in no order; some may be there several times."""
        found += self._rest
        if self._filing is not None:
            doubts: Found = []
            self._filing.find(event, found, doubts)
            if doubts:
                for rules in doubts[2::3]:
                    found += self._whole(rules)

    def _whole(self, rules: Any) -> Entry:
        """The rules of an entry with all that their `match` says to ask."""
        if type(rules) is _Crowd:
            return None, None, rules
        alike = self._rules[rules if type(rules) is int else rules[0]]
        return alike.entry(alike.match)


def _without_lonely(chosen: Mapping[int, Clause], count: int) -> Mapping[int, Clause]:
    """Without clauses at paths with hardly a rule, where so few rules have these that to try them takes less time."""
    at_path = Counter(clause.path for clause in chosen.values())
    left = {position: clause for position, clause in chosen.items() if at_path[clause.path] > _LONELY}
    return left if count - len(left) <= FEW else chosen


class _Tried:
    """The rules of a source, by the first of those alike, in buckets: a few are tried one by one, more asked together."""

    def __init__(self, rules: Mapping[int, _Alike], chosen: Mapping[int, Clause]) -> None:
        self._rules = rules
        self._everything: Bucket = (None, None, _Crowd(rules))
        rests: dict[Match, Match] = {}  # what many rules have left to ask is kept once, and so stays in the cache
        self._entries: dict[int, Entry] = {}
        for first, alike in rules.items():
            rest = alike.match.without(chosen[first]) if first in chosen else alike.match
            self._entries[first] = alike.entry(rests.setdefault(rest, rest))

    def found(self, positions: Iterable[int]) -> Bucket:
        """See `Buckets`."""
        found = sorted(set(positions))
        if len(found) <= FEW:
            return tuple(part for first in found for part in self._entries[first])
        crowd = _Crowd({first: self._rules[first] for first in found})
        crowd.prepare()
        return None, None, crowd

    def doubted(self, positions: Iterable[int]) -> Bucket:
        """See `Buckets`. Kinds rarely clash: then many rules are the crowd of all, of which there is one."""
        found = sorted(set(positions))
        if len(found) <= _FEW_DOUBTED:
            return tuple(part for first in found for part in self._entries[first])
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

    def find(self, event: Event) -> Found:
        """The entries of the rules that can match."""
        found: Found = []
        for first, is_certain in (self._group or self.prepare()).find(event):
            alike = self._rules[first]
            found += alike.entry(MATCH_ALL if is_certain else alike.match)
        return found
