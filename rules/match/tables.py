"""What the clauses of many rules say of one value, looked up together.

A set of rules is an integer: its bit is set for each of them. Sets of a few rules are kept as tuples of their positions,
as there may be as many sets as rules. Each table answers with the rules that a value leaves possible.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from math import isfinite
from typing import Any

from rules.event import MISSING
from rules.match.clauses import (
    Absent,
    AnyNumber,
    AnyText,
    Atom,
    Bound,
    Constant,
    Network,
    NoneOf,
    Number,
    Present,
    Range,
    Text,
)
from rules.numbers import EXACT_FLOATS

Bits = int

Rules = Bits | tuple[int, ...]
"""A set of rules: their bits, or a few positions."""

_FEW = 6
"""So many positions take less memory than the bits of ten thousand rules, and less time than to join those."""

_SMALL = 256
"""The bits of so many rules take no more memory than positions do."""

_STRIDE = 16
"""The answer is kept for one of so many intervals; from there the next ones are found by what changes."""

_IPV6 = 1 << 33
"""IPv6 addresses are numbered from here, above all of IPv4."""


def bits_of(positions: Iterable[int]) -> Bits:
    """The set of these rules."""
    bits = 0
    for position in positions:
        bits |= 1 << position
    return bits


def _packed(positions: Sequence[int]) -> Rules:
    is_sparse = len(positions) <= _FEW and max(positions) >= _SMALL
    return tuple(positions) if is_sparse else bits_of(positions)


def _joined(bits: Bits, rules: Rules) -> Bits:
    if type(rules) is tuple:
        for position in rules:
            bits |= 1 << position
        return bits
    assert isinstance(rules, int)
    return bits | rules


class Prefixes:
    """Which rules' prefixes a text begins with."""

    def __init__(self, positions: Mapping[str, Sequence[int]]) -> None:
        self._prefixes = sorted(positions)
        self._rules = [_packed(positions[prefix]) for prefix in self._prefixes]
        self._shorter: list[int] = []
        """Of each prefix, where the longest is that it begins with itself; -1: none does."""
        for prefix in self._prefixes:
            self._shorter.append(self._longest(prefix, len(self._shorter) - 1))

    def find(self, text: str) -> Bits:
        """What text begins with stands before it in order, and so does all that a prefix in between begins with."""
        bits = 0
        at = self._longest(text, bisect_right(self._prefixes, text) - 1)
        while at >= 0:
            bits = _joined(bits, self._rules[at])
            at = self._shorter[at]
        return bits

    def _longest(self, text: str, at: int) -> int:
        while at >= 0 and not text.startswith(self._prefixes[at]):
            at = self._shorter[at]
        return at


class Texts:
    """Which rules' texts a text equals, begins with or ends in."""

    def __init__(self, positions: Mapping[str, Mapping[str, Sequence[int]]]) -> None:
        self._equal = {text: _packed(found) for text, found in positions["equal"].items()}
        self._equal_only = not positions["prefix"] and not positions["suffix"]
        self._prefixes = Prefixes(positions["prefix"]) if positions["prefix"] else None
        backwards = {text[::-1]: found for text, found in positions["suffix"].items()}
        self._suffixes = Prefixes(backwards) if backwards else None

    def find(self, text: str) -> Bits:
        """The rules that have a text for this one."""
        rules = self._equal.get(text, 0)
        bits = rules if type(rules) is int else _joined(0, rules)
        if self._equal_only:
            return bits
        if self._prefixes is not None:
            bits |= self._prefixes.find(text)
        if self._suffixes is not None:
            bits |= self._suffixes.find(text[::-1])
        return bits


class Intervals:
    """Which rules' ranges a value is in. Bounds cut the values into intervals: before a bound, at it, after it."""

    def __init__(self, ranges: Iterable[tuple[Range, int]]) -> None:
        ranges = list(ranges)
        ends = {bound.exact: bound for each, _ in ranges for bound in each if bound is not None}
        self._exact: list[Any] = sorted(ends)
        self._near = [ends[exact].near for exact in self._exact]
        number = {exact: at for at, exact in enumerate(self._exact)}
        begun: defaultdict[int, list[int]] = defaultdict(list)
        ended: defaultdict[int, list[int]] = defaultdict(list)
        for each, position in ranges:
            low, high = each
            first = 0 if low is None else 2 * number[low.exact] + (1 if low.is_in else 2)
            end = 2 * len(ends) + 1 if high is None else 2 * number[high.exact] + (2 if high.is_in else 1)
            if first < end:
                begun[first].append(position)
                ended[end].append(position)
        open_ranges: Counter[int] = Counter()
        self._changes: list[Rules] = []
        self._kept: list[Bits] = []
        bits = 0
        for interval in range(2 * len(ends) + 1):
            open_ranges.update(begun[interval])
            open_ranges.subtract(ended[interval])
            touched = {*begun[interval], *ended[interval]}
            changed = [
                position for position in touched if (open_ranges[position] > 0) is not bool(bits >> position & 1)
            ]
            self._changes.append(_packed(changed) if changed else ())
            bits = _flipped(bits, self._changes[-1])
            if interval % _STRIDE == 0:
                self._kept.append(bits)

    def find(self, value: Any, *, as_float: bool = False) -> Bits:
        """The rules of the interval that a value is in; `as_float`: it is compared with the floats that they are."""
        bounds: list[Any] = self._near if as_float else self._exact
        at = bisect_left(bounds, value)
        interval = 2 * at + (at < len(bounds) and bounds[at] == value)
        kept = interval // _STRIDE
        bits = self._kept[kept]
        for changed in self._changes[kept * _STRIDE + 1 : interval + 1]:
            if changed:
                bits = _flipped(bits, changed)
        return bits


def _flipped(bits: Bits, rules: Rules) -> Bits:
    if type(rules) is tuple:
        for position in rules:
            bits ^= 1 << position
        return bits
    assert isinstance(rules, int)
    return bits ^ rules


def address_number(text: str) -> int | None:
    """The number of an IP address; IPv4 written as IPv6 is IPv4. None: the text is no address."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return int(mapped)
    return int(address) if address.version == 4 else _IPV6 + int(address)


_number_of_address: Callable[[str], int | None] = lru_cache(maxsize=1024)(address_number)


def network_atom(network: IPv4Network | IPv6Network) -> Network:
    """The addresses of a network."""
    start = 0 if network.version == 4 else _IPV6
    return Network(start + int(network.network_address), start + int(network.broadcast_address))


class Values:
    """What atoms of all kinds but those of presence say of a single value, which is no list and not missing."""

    def __init__(self, atoms: Sequence[tuple[Atom, int]]) -> None:
        texts: dict[bool, dict[str, defaultdict[str, list[int]]]] = {
            folds: {how: defaultdict(list) for how in ("equal", "prefix", "suffix")} for folds in (False, True)
        }
        near: defaultdict[int | float, list[int]] = defaultdict(list)
        exact: defaultdict[int | Decimal, list[int]] = defaultdict(list)
        constants: defaultdict[bool | None, list[int]] = defaultdict(list)
        ranges: dict[str, list[tuple[Range, int]]] = {"text": [], "number": [], "network": []}
        kinds: defaultdict[str, set[int]] = defaultdict(set)
        for atom, position in atoms:
            match atom:
                case Text(text, how, folds, clashes):
                    texts[folds][how][text].append(position)
                    kinds["needs text"].update([position] * clashes)
                case Number():
                    near[atom.near].append(position)
                    exact[atom.exact].append(position)
                case Constant(value):
                    constants[value].append(position)
                case Range():
                    kind = "text" if atom.is_text else "number"
                    ranges[kind].append((atom, position))
                    kinds[f"needs {kind}"].add(position)
                case Network(first, last):
                    low, high = Bound(first, first, is_in=True), Bound(last, last, is_in=True)
                    ranges["network"].append((Range(low, high), position))
                    kinds["needs text"].add(position)
                    kinds["needs address"].add(position)
                case AnyText():
                    kinds["any text"].add(position)
                    kinds["needs text"].add(position)
                case AnyNumber():
                    kinds["any number"].add(position)
                    kinds["needs number"].add(position)
        self._texts = Texts(texts[False]) if any(texts[False].values()) else None
        self._folded = Texts(texts[True]) if any(texts[True].values()) else None
        self._near = {number: _packed(found) for number, found in near.items()}
        self._exact = {number: _packed(found) for number, found in exact.items()}
        self._constants = {value: bits_of(found) for value, found in constants.items()}
        self._text_ranges, self._number_ranges, self._networks = (
            Intervals(ranges[kind]) if ranges[kind] else None for kind in ("text", "number", "network")
        )
        self._any_text, self._any_number = bits_of(kinds["any text"]), bits_of(kinds["any number"])
        self._needs_text, self._needs_number = bits_of(kinds["needs text"]), bits_of(kinds["needs number"])
        self._needs_address = bits_of(kinds["needs address"])
        self._needs_other = self._needs_text | self._needs_number
        self._all = bits_of(position for _, position in atoms)
        plain = not (self._folded or self._text_ranges or self._networks or self._any_text or self._needs_number)
        self._only_texts = self._texts.find if self._texts is not None and plain else None

    def find(self, value: Any) -> tuple[Bits, Bits]:
        """The rules of which an atom is true, and those of which one has no answer."""
        kind = type(value)
        if kind is str:
            if self._only_texts is not None:
                return self._only_texts(value), 0
            return self._find_text(value)
        if value is None:
            return self._constants.get(None, 0), 0
        if kind is bool:
            return self._constants.get(value, 0), self._needs_other
        if kind is int or kind is float or kind is Decimal:
            return self._find_number(value)
        if kind is dict:
            return 0, self._needs_other
        return 0, self._all  # what JSON has not: the pattern itself is asked

    def _find_text(self, text: str) -> tuple[Bits, Bits]:
        bits, unanswered = self._any_text, self._needs_number
        if self._texts is not None:
            bits |= self._texts.find(text)
        if self._folded is not None:
            bits |= self._folded.find(text.casefold())
        if self._text_ranges is not None:
            bits |= self._text_ranges.find(text)
        if self._networks is not None:
            address = _number_of_address(text)
            if address is None:
                unanswered |= self._needs_address
            else:
                bits |= self._networks.find(address)
        return bits, unanswered

    def _find_number(self, value: int | float | Decimal) -> tuple[Bits, Bits]:
        kind = type(value)
        as_float = kind is float or (kind is int and -EXACT_FLOATS <= value <= EXACT_FLOATS)
        if not (kind is int or (isfinite(value) if as_float else value.is_finite())):  # type: ignore[union-attr]
            return 0, self._needs_other
        bits = self._any_number
        same: Mapping[Any, Rules] = self._near if as_float else self._exact
        if same and (rules := same.get(value)) is not None:
            bits = _joined(bits, rules)
        if self._number_ranges is not None:
            bits |= self._number_ranges.find(value, as_float=as_float)
        return bits, self._needs_text


class Table:
    """One clause of each of many rules about the value at a path."""

    def __init__(self, clauses: Sequence[tuple[Sequence[Atom], int]], everything: Bits) -> None:
        atoms = [(atom, position) for of_rule, position in clauses for atom in of_rule]
        denied = [(atom, position) for outer, position in atoms if isinstance(outer, NoneOf) for atom in outer.atoms]
        self.said = bits_of(position for _, position in clauses)
        self._silent = everything ^ self.said
        self._present = self._silent | bits_of(position for atom, position in atoms if isinstance(atom, Present))
        self._denying = bits_of(position for atom, position in atoms if isinstance(atom, NoneOf))
        plain = [(atom, position) for atom, position in atoms if not isinstance(atom, Present | Absent | NoneOf)]
        self._values = Values(plain) if plain else None
        self._denied = Values(denied) if self._denying else None
        self.missing = self._silent | bits_of(position for atom, position in atoms if isinstance(atom, Absent))
        """The answer where there is no value."""

    def find(self, value: Any) -> tuple[Bits, Bits]:
        """The rules that a value, or MISSING, leaves possible, and those of which a pattern has to be asked itself."""
        if value is MISSING:
            return self.missing, 0
        if type(value) is list:
            return self._find_elements(value)
        bits, unanswered = self._present, 0
        if self._values is not None:
            found, unanswered = self._values.find(value)
            bits |= found | unanswered
        if self._denied is None:
            return bits, unanswered
        found, without = self._denied.find(value)
        return bits | (self._denying & ~found), unanswered | without

    def _find_elements(self, value: list[Any]) -> tuple[Bits, Bits]:
        bits, denying, unanswered = self._present, self._denying, 0
        for element in _flat(value):
            if self._values is not None:
                found, without = self._values.find(element)
                bits |= found | without
                unanswered |= without
            if self._denied is not None:
                found, without = self._denied.find(element)
                denying &= ~found
                unanswered |= without
        return bits | denying, unanswered


def _flat(elements: list[Any]) -> Iterable[Any]:
    for element in elements:
        if type(element) is list:
            yield from _flat(element)
        else:
            yield element
