"""What an index can use of a pattern: clauses, all of which a value has to meet, each a choice of atoms.

Clauses never say less than their pattern allows: a value that matches meets all of them, and so does one of which the
pattern has no answer. They may let more pass, unless the pattern is `whole`.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

Path = tuple[str, ...]


class Text(NamedTuple):
    """A text that equals, begins with or ends in one; `folds`: compared case-folded, and `text` is.

    `clashes`: a value that is neither a text, nor null, nor missing is an error.
    """

    text: str
    how: str = "equal"  # or prefix, suffix
    folds: bool = False
    clashes: bool = False


class Number(NamedTuple):
    """A number that equals one; `near` is what a float compares with."""

    exact: int | Decimal
    near: int | float


class Constant(NamedTuple):
    """True, false or null."""

    value: bool | None


class Bound(NamedTuple):
    """An end of a range. Of a number `near` is what a float compares with, of a text the text again."""

    exact: int | Decimal | str
    near: int | float | str
    is_in: bool


class Range(NamedTuple):
    """Values of one kind between two bounds, of which one may be missing; those of other kinds are errors."""

    low: Bound | None
    high: Bound | None

    @property
    def is_text(self) -> bool:
        """Whether texts are compared, not numbers."""
        return isinstance((self.low or self.high or _NO_BOUND).exact, str)


_NO_BOUND = Bound(0, 0, is_in=True)


class Network(NamedTuple):
    """IP addresses from the first to the last, as `kinds.address_of` numbers them."""

    first: int
    last: int


class AnyText(NamedTuple):
    """Some text: more cannot be looked up. What else is neither null nor missing is an error."""


class AnyNumber(NamedTuple):
    """Some number, in the same way."""


class Present(NamedTuple):
    """Any value at all, null too."""


class Absent(NamedTuple):
    """No value."""


class NoneOf(NamedTuple):
    """There is a value, and neither it nor an element of it is one of these, which the index knows exactly."""

    atoms: tuple["Atom", ...]


Atom = Text | Number | Constant | Range | Network | AnyText | AnyNumber | Present | Absent | NoneOf


class Clause(NamedTuple):
    """Of the value at `path` one of the atoms is true; none is, if there are none."""

    path: Path
    atoms: tuple[Atom, ...]


_PASSING = (AnyText, AnyNumber, Present, NoneOf)
"""Nearly every value there passes these."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The clauses of a pattern. `whole`: they say all that it says, so that a value which meets them matches."""

    clauses: tuple[Clause, ...] = ()
    whole: bool = False

    @property
    def narrows(self) -> bool:
        """Whether a look-up leaves the pattern out for many of the values there; `*a*` can be in any text."""
        return bool(self.narrowing)

    @property
    def narrowing(self) -> tuple[Clause, ...]:
        """The clauses that few of the values there meet."""
        return tuple(clause for clause in self.clauses if not any(isinstance(atom, _PASSING) for atom in clause.atoms))


def all_asked(parts: list[Asked]) -> Asked:
    """What several patterns ask together."""
    return Asked(tuple(clause for part in parts for clause in part.clauses), all(part.whole for part in parts))


def one_asked(parts: list[Asked], path: Path) -> Asked:
    """What is asked where one of several patterns of the value at `path` is enough."""
    atoms: list[Atom] = []
    for part in parts:
        own = next((clause for clause in part.clauses if clause.path == path), None)
        if own is None:
            return Asked()
        atoms += own.atoms
    return Asked((Clause(path, tuple(atoms)),), all(part.whole and len(part.clauses) == 1 for part in parts))


def none_asked(part: Asked, path: Path) -> Asked:
    """What `not` asks of the value at `path`, where `part` is what its pattern asks."""
    if part.whole and len(part.clauses) == 1 and part.clauses[0].path == path:
        atoms = part.clauses[0].atoms
        if not any(isinstance(atom, Present | Absent | NoneOf) for atom in atoms):
            return Asked((Clause(path, (NoneOf(atoms),)),), whole=True)
    return Asked((Clause(path, (Present(),)),))


def each_asked(part: Asked) -> Asked:
    """What `all` asks. Each element may leave out another choice of `not`, so that a list could have them all."""
    clauses = [
        clause
        for clause in part.clauses
        if len(clause.atoms) == 1 or not any(isinstance(atom, NoneOf) for atom in clause.atoms)
    ]
    return Asked(tuple(clauses))
