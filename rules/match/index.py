"""Which rules can match an event, found without trying each.

Every rule is filed once: under its source, and there under one path where an event has to have a certain text
(`type: …`, or an equality deeper in the data). An event is looked up under the few paths in use, so what it costs
grows with the rules it finds, not with those there are. What cannot be filed so, because it has only ranges or globs,
is a candidate for every event of its source.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rules.event import Event
from rules.expressions import EVENT_NAMES
from rules.match.tree import IGNORE_CASE, Path

_FEW = 4
"""As many rules at one text are not worth looking for a more selective path: fewer paths in use cost less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What the index knows of a rule: its sources (None: all), and texts of which an event needs one at each path."""

    sources: frozenset[str] | None
    required: Collection[tuple[Path, Collection[str]]]


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
        self._everywhere = SourceIndex(keys, everywhere)
        self._by_source = {source: SourceIndex(keys, positions) for source, positions in by_source.items()}

    def always(self, source: str) -> Sequence[int]:
        """Positions of the rules that are tried for every event of a source, ascending: nothing in them can be filed."""
        of_source = self._by_source.get(source)
        return sorted({*self._everywhere.unfiled, *(() if of_source is None else of_source.unfiled)})

    def candidates(self, event: Event) -> Sequence[int]:
        """Positions of the rules that can match, ascending; every rule that does match is among them."""
        found = self._everywhere.find(event)
        of_source = self._by_source.get(event.origin)
        if of_source is not None:
            found = (*found, *of_source.find(event)) if found else of_source.find(event)
        return sorted(set(found)) if len(found) > 1 else found


class SourceIndex:
    """The rules of one source, each under its most selective path."""

    def __init__(self, keys: Sequence[Key], positions: Sequence[int]) -> None:
        population: defaultdict[Path, Counter[str]] = defaultdict(Counter)
        for position in positions:
            for path, texts in keys[position].required:
                population[path].update(set(texts))
        filed: defaultdict[Path, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        unfiled: list[int] = []
        for position in positions:
            required = dict(keys[position].required)
            if not required:
                unfiled.append(position)
                continue
            path = _most_selective(required, population)
            for text in set(required[path]):
                filed[path][text].append(position)
        self.unfiled = tuple(unfiled)
        self._filed = [
            (_reader(path), {text: tuple(found) for text, found in texts.items()}) for path, texts in filed.items()
        ]

    def find(self, event: Event) -> tuple[int, ...]:
        """Positions of the rules that can match, in no order; one may be there several times."""
        found = self.unfiled
        for read, filed in self._filed:
            for text in read(event):
                at_text = filed.get(text)
                if at_text is not None:
                    found = (*found, *at_text) if found else at_text
        return found


def _most_selective(required: Mapping[Path, Collection[str]], population: Mapping[Path, Counter[str]]) -> Path:
    """The first path with few rules at its texts, else the one with the fewest."""
    crowds = {path: sum(population[path][text] for text in set(texts)) for path, texts in required.items()}
    return next((path for path, crowd in crowds.items() if crowd <= _FEW), min(crowds, key=crowds.__getitem__))


def _reader(path: Path) -> Callable[[Event], Sequence[str]]:
    if path[-1] == IGNORE_CASE:
        read_exact = _reader(path[:-1])
        return lambda event: tuple(text.casefold() for text in read_exact(event))
    root, fields = EVENT_NAMES[path[0]], path[1:]

    def read(event: Event) -> Sequence[str]:
        value = root(event)
        for depth, name in enumerate(fields):
            if isinstance(value, list):
                return tuple(_texts_in(value, fields[depth:]))
            if not isinstance(value, (dict, Mapping)):
                return ()
            value = value.get(name)
        if isinstance(value, str):
            return (value,)
        return tuple(_texts_in(value, ()))

    return read


def _texts_in(value: Any, fields: Path) -> Iterator[str]:
    """All texts at a path, arrays on the way opened: a pattern matches an array by any of its elements."""
    if isinstance(value, list):
        for element in value:
            yield from _texts_in(element, fields)
    elif isinstance(value, str) and not fields:
        yield value
    elif isinstance(value, Mapping) and fields:
        yield from _texts_in(value.get(fields[0]), fields[1:])
