"""Which rules can match an event, found without trying each.

Every rule is filed once: under its source, and there under one path where an event has to have a certain text
(`type: …`, or an equality deeper in the data). An event is looked up under the few paths in use, so what it costs
grows with the rules it finds, not with those there are. Rules of the same text, if they are more than a few, and those
that ask for none are asked together, as a `Group`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rules.event import Event, Opaque
from rules.expressions import EVENT_NAMES
from rules.match.clauses import Asked, Path
from rules.match.group import Group
from rules.match.tree import IGNORE_CASE

_FEW = 4
"""As many rules at one text are not worth looking for a more selective path: fewer paths in use cost less."""

_FEW_TRIED = 16
"""So many rules are tried one by one in less time than a group is asked, and take less memory."""

_MOST_TEXTS = 4
"""A rule with more texts at its path is asked in a group, so that the groups together have few rules more than once."""

_MOST_PATHS = 8
"""Each path that rules are filed under costs a look-up for every event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What the index knows of a rule: its sources (None: all), texts of which an event needs one at each path, and
    all that can be looked up, which is asked for where these texts do not tell the rule from others."""

    sources: frozenset[str] | None
    required: Collection[tuple[Path, Collection[str]]]
    asked: Callable[[], Asked] = Asked


@dataclass(frozen=True, slots=True)
class Candidates:
    """Positions of the rules that can match, ascending, and those of them whose `match` certainly does."""

    positions: Sequence[int]
    certain: Collection[int]


_NO_CANDIDATES = Candidates((), ())


class Index:
    """Finds rules by their positions in the sequence it was built from."""

    def __init__(self, keys: Sequence[Key]) -> None:
        by_source: defaultdict[str, list[int]] = defaultdict(list)
        everywhere: list[int] = []
        for position, key in enumerate(keys):
            if key.sources is None:
                everywhere.append(position)
            for source in key.sources or ():
                by_source[source].append(position)
        self._everywhere = SourceIndex(keys, everywhere) if everywhere else None
        self._by_source = {source: SourceIndex(keys, positions) for source, positions in by_source.items()}

    def always(self, source: str) -> Sequence[int]:
        """Positions of the rules that a look-up leaves for nearly every event of a source, ascending."""
        indexes = (self._everywhere, self._by_source.get(source))
        return sorted({position for index in indexes if index is not None for position in index.unnarrowed})

    def candidates(self, event: Event) -> Candidates:
        """The rules that can match; every rule that does match, or has no answer, is among them."""
        certain: list[int] = []
        others: list[int] = []
        if self._everywhere is not None:
            self._everywhere.find(event, certain, others)
        of_source = self._by_source.get(event.origin)
        if of_source is not None:
            of_source.find(event, certain, others)
        if not others:
            positions = set(certain)
            return Candidates(sorted(positions), positions) if certain else _NO_CANDIDATES
        return Candidates(sorted({*certain, *others}), certain)


class SourceIndex:
    """The rules of one source, each under its most selective path."""

    def __init__(self, keys: Sequence[Key], positions: Sequence[int]) -> None:
        population: defaultdict[Path, Counter[str]] = defaultdict(Counter)
        for position in positions:
            for asked_at, texts in keys[position].required:
                population[asked_at].update(set(texts))
        filed: defaultdict[Path, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        unfiled: list[int] = []
        for position in positions:
            path = _path_to_file(keys[position], population)
            if path is None:
                unfiled.append(position)
                continue
            for text in set(dict(keys[position].required)[path]):
                filed[path][text].append(position)
        unfiled += _least_used(filed)
        self._rest = _grouped(sorted(unfiled), keys) if unfiled else None
        self.unnarrowed = [position for position in unfiled if not keys[position].asked().narrows]
        self._filed = [
            (_reader(path), {text: _grouped(found, keys) for text, found in texts.items()})
            for path, texts in filed.items()
        ]

    def find(self, event: Event, certain: list[int], others: list[int]) -> None:
        """Add the positions of the rules that match, and of those that can, in no order; one may be there twice."""
        if self._rest is not None:
            _find_in(self._rest, event, certain, others)
        for read, filed in self._filed:
            texts = read(event)
            for text in filed if texts is None else texts:
                at_text = filed.get(text)
                if at_text is not None:
                    _find_in(at_text, event, certain, others)


def _grouped(positions: Sequence[int], keys: Sequence[Key]) -> Group | tuple[int, ...]:
    if len(positions) <= _FEW_TRIED:
        return tuple(positions)
    return Group(positions, [keys[position].asked() for position in positions])


def _find_in(group: Group | tuple[int, ...], event: Event, certain: list[int], others: list[int]) -> None:
    if type(group) is tuple:
        others += group
        return
    assert isinstance(group, Group)
    for position, is_certain in group.find(event):
        (certain if is_certain else others).append(position)


def _path_to_file(key: Key, population: Mapping[Path, Counter[str]]) -> Path | None:
    """The path to file a rule under; None: it asks for no text, or for one of many."""
    required = {path: texts for path, texts in key.required if len(texts) <= _MOST_TEXTS}
    return _most_selective(required, population) if required else None


def _least_used(filed: defaultdict[Path, defaultdict[str, list[int]]]) -> set[int]:
    """Take the paths out that fewest rules are filed under, where there are too many, and return these rules."""
    paths = sorted(filed, key=lambda path: sum(map(len, filed[path].values())), reverse=True)
    return {position for path in paths[_MOST_PATHS:] for found in filed.pop(path).values() for position in found}


def _most_selective(required: Mapping[Path, Collection[str]], population: Mapping[Path, Counter[str]]) -> Path:
    """The first path with few rules at its texts, else the one with the fewest."""
    crowds = {path: sum(population[path][text] for text in set(texts)) for path, texts in required.items()}
    return next((path for path, crowd in crowds.items() if crowd <= _FEW), min(crowds, key=crowds.__getitem__))


def _reader(path: Path) -> Callable[[Event], Sequence[str] | None]:
    """A function that reads the texts of an event at a path; None: the pattern of each rule there has no answer."""
    if path[-1] == IGNORE_CASE:
        return _folded_reader(path[:-1])
    root, fields = EVENT_NAMES[path[0]], path[1:]

    def read(event: Event) -> Sequence[str] | None:
        value = root(event)
        for depth, name in enumerate(fields):
            kind = type(value)
            if kind is not dict and not isinstance(value, Mapping):
                return _texts_of(value, fields[depth:])
            value = value.get(name)
        return (value,) if type(value) is str else _texts_of(value, ())

    return read


def _texts_of(value: Any, fields: Path) -> Sequence[str] | None:
    found = list(_values_in(value, fields))
    if any(isinstance(each, Opaque) for each in found):
        return None
    return [each for each in found if isinstance(each, str)]


def _folded_reader(path: Path) -> Callable[[Event], Sequence[str] | None]:
    root, fields = EVENT_NAMES[path[0]], path[1:]

    def read(event: Event) -> Sequence[str] | None:
        found = [value for value in _values_in(root(event), fields) if value is not None]
        return None if any(not isinstance(value, str) for value in found) else [text.casefold() for text in found]

    return read


def _values_in(value: Any, fields: Path) -> Iterator[Any]:
    """All values at a path, arrays on the way opened: a pattern matches an array by any of its elements.

    What no pattern can look into is one of them, wherever it stands.
    """
    if isinstance(value, list):
        for element in value:
            yield from _values_in(element, fields)
    elif not fields or isinstance(value, Opaque):
        yield value
    elif isinstance(value, Mapping):
        yield from _values_in(value.get(fields[0]), fields[1:])
