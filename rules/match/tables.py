"""What the clauses of many rules say of one value, looked up together: each table answers with the rules that a value
leaves possible, as a set.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rules.event import MISSING
from rules.match.bits import Bits, Rules, bits_of, joined, packed
from rules.match.clauses import Absent, Atom, NoneOf, Present
from rules.match.intervals import Intervals
from rules.match.kinds import Kinds, address_of, is_finite, is_held_by_float
from rules.match.prefixes import Prefixes


class Texts:
    """Which rules' texts a text equals, begins with or ends in."""

    def __init__(self, positions: Mapping[str, Mapping[str, Sequence[int]]]) -> None:
        self._equal = {text: packed(found) for text, found in positions["equal"].items()}
        self._equal_only = not positions["prefix"] and not positions["suffix"]
        self._prefixes = _prefixes(positions["prefix"])
        self._suffixes = _prefixes({text[::-1]: found for text, found in positions["suffix"].items()})

    def find(self, text: str) -> Bits:
        """The rules that have a text for this one."""
        rules = self._equal.get(text, 0)
        bits = rules if type(rules) is int else joined(0, rules)
        if self._equal_only:
            return bits
        if self._prefixes is not None:
            for rules in self._prefixes.find(text):
                bits = joined(bits, rules)
        if self._suffixes is not None:
            for rules in self._suffixes.find(text[::-1]):
                bits = joined(bits, rules)
        return bits


def _prefixes(positions: Mapping[str, Sequence[int]]) -> Prefixes[Rules] | None:
    return Prefixes({prefix: packed(found) for prefix, found in positions.items()}) if positions else None


class Values:
    """What atoms of all kinds but those of presence say of a single value, which is no list and not missing."""

    def __init__(self, atoms: Sequence[tuple[Atom, int]]) -> None:
        kinds = Kinds(atoms)
        self._texts, self._folded = (
            Texts(kinds.texts[folds]) if any(kinds.texts[folds].values()) else None for folds in (False, True)
        )
        self._near = {number: packed(found) for number, found in kinds.near.items()}
        self._exact = {number: packed(found) for number, found in kinds.exact.items()}
        self._constants = {value: bits_of(found) for value, found in kinds.constants.items()}
        self._text_ranges, self._number_ranges, self._networks = (
            Intervals(kinds.ranges[kind]) if kinds.ranges[kind] else None for kind in ("text", "number", "network")
        )
        self._any_text, self._any_number = bits_of(kinds.any_text), bits_of(kinds.any_number)
        self._needs_text, self._needs_number = bits_of(kinds.needs_text), bits_of(kinds.needs_number)
        self._needs_address = bits_of(kinds.needs_address)
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
            address = address_of(text)
            if address is None:
                unanswered |= self._needs_address
            else:
                bits |= self._networks.find(address)
        return bits, unanswered

    def _find_number(self, value: int | float | Decimal) -> tuple[Bits, Bits]:
        if not is_finite(value):
            return 0, self._needs_other
        as_float = is_held_by_float(value)
        bits = self._any_number
        same: Mapping[Any, Rules] = self._near if as_float else self._exact
        if same and (rules := same.get(value)) is not None:
            bits = joined(bits, rules)
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
