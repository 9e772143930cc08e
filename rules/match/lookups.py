"""Rules filed under what they say of the value at one path: a value finds those that it meets, and no others.

What a look-up costs grows with the logarithm of what is filed, at most.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any, Protocol

from rules.event import Event
from rules.match.clauses import Atom
from rules.match.intervals import Stabs
from rules.match.kinds import Kinds, address_of, is_finite, is_held_by_float
from rules.match.prefixes import Prefixes

Entry = tuple[Callable[[Any, Event], bool] | None, Any, Any]
"""Rules to be tried at once, as they ask the same: what is left to ask of an event (None: nothing is), what that is given
with the event, and the rules: the position of one, a tuple of those of several, or a crowd that is asked together.
"""

Bucket = tuple[Any, ...]
"""Entries one behind the other, without tuples of their own: of ten thousand rules those of an event are not in the
processor's cache, and each object on the way to them is one more wait for memory.
"""

Found = list[Any]
"""The entries of several buckets, in the same form."""

Finder = Callable[[Any, Found, Found], None]
"""Adds what a value finds to the first list, and to the second what was found in an array or is to be asked itself."""


class Buckets(Protocol):
    """What is found of some positions."""

    def found(self, positions: Iterable[int]) -> Bucket:
        """Of rules that a value finds."""

    def doubted(self, positions: Iterable[int]) -> Bucket:
        """Of rules whose patterns have no answer for a value, or may have none."""


class Lookup:
    """Finds rules by a value, which is not missing."""

    def __init__(self, filed: Sequence[tuple[Sequence[Atom], int]], made: Buckets) -> None:
        bucket_of, doubted = made.found, made.doubted
        kinds = Kinds((atom, position) for atoms, position in filed for atom in atoms)

        def buckets(positions: Mapping[Any, Iterable[int]]) -> dict[Any, Bucket]:
            return {key: bucket_of(found) for key, found in positions.items()}

        self._equal: dict[str, Bucket] = buckets(kinds.texts[False]["equal"])
        self._folded: dict[str, Bucket] = buckets(kinds.texts[True]["equal"])
        self._prefixes = _prefixes(buckets(kinds.texts[False]["prefix"]))
        self._suffixes = _prefixes(_backwards(buckets(kinds.texts[False]["suffix"])))
        self._folded_prefixes = _prefixes(buckets(kinds.texts[True]["prefix"]))
        self._folded_suffixes = _prefixes(_backwards(buckets(kinds.texts[True]["suffix"])))
        self._folds = bool(self._folded or self._folded_prefixes or self._folded_suffixes)
        self._near: dict[int | float, Bucket] = buckets(kinds.near)
        self._exact: dict[int | Decimal, Bucket] = buckets(kinds.exact)
        self._constants: dict[bool | None, Bucket] = buckets(kinds.constants)
        self._text_ranges, self._number_ranges, self._networks = (
            Stabs(kinds.ranges[kind], bucket_of) if kinds.ranges[kind] else None
            for kind in ("text", "number", "network")
        )
        self._present = bucket_of(kinds.present | kinds.any_text | kinds.any_number | kinds.denying)
        self._needs_text = doubted(kinds.needs_text)
        self._needs_number = doubted(kinds.needs_number)
        self._needs_address = doubted(kinds.needs_address)
        self._needs_other = doubted(kinds.needs_text | kinds.needs_number)
        self._all = doubted(position for _, position in filed)
        others = self._prefixes or self._suffixes or self._folds or self._text_ranges or self._networks
        only_equal = not (others or self._present or kinds.needs_number)
        self.equal = self._equal if self._equal and only_equal else None
        """The rules of each text, where a text finds nothing by other ways."""

    def shortest(self) -> Finder:
        """`find`, or a shorter way for the only kind that is filed here, where it is one of the usual.

        The caller keeps it: a look-up that held its own method would be freed by a look for garbage alone.
        """
        numbers = self._near or self._constants or self._present or self._needs_number
        texts = self._equal or self._folds or self._text_ranges or self._networks
        if self._prefixes and self._prefixes.lengths and not (texts or self._suffixes or numbers):
            return _by_prefix(self._prefixes, self.find)
        if self._suffixes and self._suffixes.lengths and not (texts or self._prefixes or numbers):
            return _by_suffix(self._suffixes, self.find)
        is_text = texts or self._prefixes or self._suffixes
        if self._number_ranges and not (is_text or self._near or self._constants or self._present):
            return _by_float(self._number_ranges, self.find)
        if self._networks and not (
            numbers or self._equal or self._folds or self._text_ranges or self._prefixes or self._suffixes
        ):
            return _by_address(self._networks, self.find)
        return self.find

    def find(self, value: Any, found: Found, doubts: Found) -> None:
        """See `Finder`."""
        found += self._present
        kind = type(value)
        if kind is str:
            self._find_text(value, found, doubts)
        elif kind is int or kind is float or kind is Decimal:
            self._find_number(value, found, doubts)
        elif value is None:
            found += self._constants.get(None, ())
        elif kind is bool:
            found += self._constants.get(value, ())
            doubts += self._needs_other
        elif kind is dict:
            doubts += self._needs_other
        elif kind is list:
            for element in value:
                self._find_element(element, doubts)
        else:
            doubts += self._all  # what JSON has not

    def _find_element(self, element: Any, doubts: Found) -> None:
        self.find(element, doubts, doubts)

    def _find_text(self, text: str, found: Found, doubts: Found) -> None:
        if self._equal:
            found += self._equal.get(text, ())
        if self._prefixes is not None:
            for bucket in self._prefixes.find(text):
                found += bucket
        if self._suffixes is not None:
            for bucket in self._suffixes.find(text[::-1]):
                found += bucket
        if self._text_ranges is not None:
            found += self._text_ranges.find(text)
        if self._folds:
            self._find_folded(text.casefold(), found)
        if self._networks is not None:
            address = address_of(text)
            if address is None:
                doubts += self._needs_address
            else:
                found += self._networks.find(address)
        doubts += self._needs_number

    def _find_folded(self, text: str, found: Found) -> None:
        found += self._folded.get(text, ())
        for ends, way in ((self._folded_prefixes, text), (self._folded_suffixes, text[::-1])):
            for bucket in () if ends is None else ends.find(way):
                found += bucket

    def _find_number(self, value: int | float | Decimal, found: Found, doubts: Found) -> None:
        if not is_finite(value):
            doubts += self._needs_other
            return
        as_float = is_held_by_float(value)
        same: Mapping[Any, Bucket] = self._near if as_float else self._exact
        if same:
            found += same.get(value, ())
        if self._number_ranges is not None:
            found += self._number_ranges.find(value, as_float=as_float)
        doubts += self._needs_text


def _by_prefix(prefixes: Prefixes[Bucket], others: Finder) -> Finder:
    lengths, at = prefixes.lengths or [], prefixes.by_text.get

    def find(value: Any, found: Found, doubts: Found) -> None:
        if type(value) is not str:
            return others(value, found, doubts)
        last = len(value)
        for length in lengths:
            if length <= last:
                found += at(value[:length], ())
        return None

    return find


def _by_suffix(suffixes: Prefixes[Bucket], others: Finder) -> Finder:
    by_text = {text[::-1]: bucket for text, bucket in suffixes.by_text.items()}
    lengths, at = suffixes.lengths or [], by_text.get

    def find(value: Any, found: Found, doubts: Found) -> None:
        if type(value) is not str:
            return others(value, found, doubts)
        last = len(value)
        for length in lengths:
            if length <= last:
                found += at(value[last - length :], ())
        return None

    return find


def _by_float(ranges: Stabs[Bucket], others: Finder) -> Finder:
    in_range = ranges.find

    def find(value: Any, found: Found, doubts: Found) -> None:
        if type(value) is not float or not isfinite(value):
            return others(value, found, doubts)
        found += in_range(value, as_float=True)
        return None

    return find


def _by_address(networks: Stabs[Bucket], others: Finder) -> Finder:
    in_network = networks.find

    def find(value: Any, found: Found, doubts: Found) -> None:
        address = address_of(value) if type(value) is str else None
        if address is None:
            return others(value, found, doubts)
        found += in_network(address)
        return None

    return find


def _prefixes(buckets: Mapping[str, Bucket]) -> Prefixes[Bucket] | None:
    return Prefixes(buckets) if buckets else None


def _backwards(buckets: Mapping[str, Bucket]) -> dict[str, Bucket]:
    return {text[::-1]: bucket for text, bucket in buckets.items()}
