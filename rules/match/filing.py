"""Rules filed by the paths of their clauses: an event is walked once, and finds the rules that its values meet."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rules.event import MISSING, Event, Opaque
from rules.expressions import EVENT_NAMES
from rules.match.clauses import Atom, Path
from rules.match.lookups import Bucket, Buckets, Finder, Found, Lookup

Filed = tuple[Path, Sequence[Atom], int]
"""A clause by which a rule is found, and the rule's position."""


class Filing:
    """Rules, each under one clause."""

    def __init__(self, filed: Sequence[Filed], buckets: Buckets) -> None:
        root = _PathNode(filed, buckets)
        self._attributes = [(EVENT_NAMES[name], node.equal, node.finder) for name, node in root.children.items()]

    def find(self, event: Event, found: Found, doubts: Found) -> None:
        """Add what an event finds, in no order: to `found` where single values meet clauses, else to `doubts`.

        A single value is one with no array on the way to it, and none itself. A rule may be found several times.
        """
        for read, equal, find in self._attributes:
            value = read(event)
            if value is None or value == "":
                continue
            if equal is not None and type(value) is str:
                found += equal.get(value, ())
            else:
                find(value, found, doubts)


class _PathNode:
    """What is filed under a path, and under those that go on from it."""

    def __init__(self, filed: Sequence[Filed], buckets: Buckets) -> None:
        own = [(atoms, position) for path, atoms, position in filed if not path]
        below: defaultdict[str, list[Filed]] = defaultdict(list)
        for path, atoms, position in filed:
            if path:
                below[path[0]].append((path[1:], atoms, position))
        self._lookup = Lookup(own, buckets) if own else None
        self._shortest = None if self._lookup is None else self._lookup.shortest()
        self.children = {name: _PathNode(inner, buckets) for name, inner in below.items()}
        self._fields = [(name, child.equal, child.finder) for name, child in self.children.items()]
        self._all_below = buckets.doubted(position for inner in below.values() for _, _, position in inner)

    @property
    def equal(self) -> Mapping[str, Bucket] | None:
        """What each text finds, where it is all that a text finds."""
        return None if self._lookup is None or self.children else self._lookup.equal

    @property
    def finder(self) -> Finder:
        """The shortest way to find by a value, which is not missing."""
        if self._shortest is None:
            return self._find_in_fields
        return self._find if self.children else self._shortest

    def _find(self, value: Any, found: Found, doubts: Found) -> None:
        assert self._lookup is not None
        self._lookup.find(value, found, doubts)
        self._find_in_fields(value, found, doubts)

    def _find_in_fields(self, value: Any, found: Found, doubts: Found) -> None:
        kind = type(value)
        if kind is dict:
            if len(value) < len(self._fields):
                self._find_in_few(value, found, doubts)
            else:
                self._find_in_object(value, found, doubts)
        elif kind is list:
            for element in value:
                self._find_in_fields(element, doubts, doubts)
        elif isinstance(value, Mapping):
            self._find_in_object(value, found, doubts)
        elif isinstance(value, Opaque):
            doubts += self._all_below

    def _find_in_object(self, value: Mapping[str, Any], found: Found, doubts: Found) -> None:
        read = value.get
        for name, equal, find in self._fields:
            inner = read(name, MISSING)
            if inner is MISSING:
                continue
            if equal is not None and type(inner) is str:
                found += equal.get(inner, ())
            else:
                find(inner, found, doubts)

    def _find_in_few(self, value: dict[str, Any], found: Found, doubts: Found) -> None:
        """Of an object with fewer fields than rules name, each of its own is looked at."""
        children = self.children
        for name, inner in value.items():
            child = children.get(name)
            if child is not None:
                child.finder(inner, found, doubts)
