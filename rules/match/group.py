"""Many rules asked at once: what an event has at each path leaves some of them possible.

The paths of all clauses are a tree, walked along the event. Each table on the way answers with a set of rules, and what is
in all answers are the candidates. A rule whose clauses say all that its `match` says needs no further test.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rules.event import MISSING, Event, Opaque
from rules.expressions import EVENT_NAMES
from rules.match.bits import Bits, bits_of
from rules.match.clauses import Asked, Atom, Path
from rules.match.tables import Table

_WIDE = 32
"""An object of which rules name more fields than these is read by the fields that the event has."""

_Clauses = Sequence[tuple[Path, Sequence[Atom], int]]


class Group:
    """Rules by their positions; `asked` is what an index can use of each."""

    def __init__(self, positions: Sequence[int], asked: Sequence[Asked]) -> None:
        self.positions = tuple(positions)
        self._everything = (1 << len(positions)) - 1
        self._whole = bits_of(bit for bit, of_rule in enumerate(asked) if of_rule.whole)
        clauses = [(clause.path, clause.atoms, bit) for bit, of_rule in enumerate(asked) for clause in of_rule.clauses]
        root = Branch(clauses, self._everything)
        self._attributes = [(EVENT_NAMES[name], branch) for name, branch in root.children.items()]

    def find(self, event: Event) -> Iterator[tuple[int, bool]]:
        """Positions of the rules that can match, descending, each with whether it certainly does."""
        bits, unsure = self._everything, 0
        for read, branch in self._attributes:
            value = read(event)
            found, doubted = branch.find(MISSING if value is None or value == "" else value)
            bits &= found
            if not bits:
                return
            unsure |= doubted
        certain = bits & self._whole & ~unsure
        positions = self.positions
        while bits:
            bit = bits.bit_length() - 1
            one = 1 << bit
            bits ^= one
            yield positions[bit], bool(certain & one)


class Branch:
    """The clauses about the value at a path, and about the fields in it."""

    def __init__(self, clauses: _Clauses, everything: Bits) -> None:
        own: list[list[tuple[Sequence[Atom], int]]] = []
        seen: defaultdict[int, int] = defaultdict(int)
        inner: defaultdict[str, list[tuple[Path, Sequence[Atom], int]]] = defaultdict(list)
        for path, atoms, bit in clauses:
            if path:
                inner[path[0]].append((path[1:], atoms, bit))
                continue
            if seen[bit] == len(own):
                own.append([])
            own[seen[bit]].append((atoms, bit))
            seen[bit] += 1
        self._everything = everything
        self._tables = [Table(of_table, everything) for of_table in own]
        self._said = bits_of(seen)
        self.children = {name: Branch(below, everything) for name, below in inner.items()}
        self._below = bits_of(bit for of_child in inner.values() for _, _, bit in of_child)
        self._fields_missing = everything
        for child in self.children.values():
            self._fields_missing &= child.missing
        self.missing: Bits = self._fields_missing
        """The answer where there is no value."""
        for table in self._tables:
            self.missing &= table.missing
        self._fields = [(name, child.finder, child.missing) for name, child in self.children.items()]
        self._prepare_wide()

    @property
    def finder(self) -> Callable[[Any], tuple[Bits, Bits]]:
        """`find` for a value that is not missing, by the shortest way."""
        return self._tables[0].find if len(self._tables) == 1 and not self.children else self.find

    def find(self, value: Any) -> tuple[Bits, Bits]:
        """The rules that a value, or MISSING, leaves possible, and those of which the pattern has to be asked itself."""
        if value is MISSING:
            return self.missing, 0
        if isinstance(value, Opaque):
            return self._everything, self._said | self._below
        bits, unsure = self._everything, 0
        for table in self._tables:
            found, doubted = table.find(value)
            bits &= found
            unsure |= doubted
        if len(self._tables) > 1 and type(value) is list:  # one element may meet one clause, and another the next
            unsure |= self._said
        if bits and self.children:
            found, doubted = self._find_fields(value)
            bits &= found
            unsure |= doubted
        return bits, unsure

    def _find_fields(self, value: Any) -> tuple[Bits, Bits]:
        kind = type(value)
        if kind is dict or (kind is not list and isinstance(value, Mapping)):
            return self._find_in_object(value)
        if kind is not list:
            return (self._everything, self._below) if isinstance(value, Opaque) else (self._fields_missing, 0)
        bits, unsure = self._everything ^ self._below, 0
        for element in value:
            found, doubted = self._find_fields(element)
            bits |= found
            unsure |= doubted
        return bits, unsure

    def _find_in_object(self, value: Mapping[str, Any]) -> tuple[Bits, Bits]:
        if self._needing and len(value) < len(self.children) and type(value) is dict:
            return self._find_in_wide(value)
        bits, unsure = self._everything, 0
        read = value.get
        for name, find, missing in self._fields:
            inner = read(name, MISSING)
            if inner is MISSING:
                bits &= missing
            else:
                found, doubted = find(inner)
                bits &= found
                unsure |= doubted
            if not bits:
                break
        return bits, unsure

    def _prepare_wide(self) -> None:
        """Of many fields most are missing: each rule that needs one is left out unless one that it needs is there."""
        self._needs: dict[str, Bits] = {}
        self._needing = self._needing_several = 0
        if len(self.children) <= _WIDE:
            return
        for name, child in self.children.items():
            self._needs[name] = needs = self._everything ^ child.missing
            self._needing_several |= self._needing & needs
            self._needing |= needs

    def _find_in_wide(self, value: Mapping[str, Any]) -> tuple[Bits, Bits]:
        bits, unsure = self._everything ^ self._needing, self._needing_several
        there = [name for name in value if name in self.children]
        for name in there:
            bits |= self._needs[name]
        for name in there:
            found, doubted = self.children[name].find(value[name])
            bits &= found
            unsure |= doubted
        return bits, unsure
