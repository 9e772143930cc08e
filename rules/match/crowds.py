"""By which of its clauses a rule is found best: one that few others share, at a path where many rules are found so."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

from rules.match.clauses import Absent, Atom, Clause, Constant, Network, Number, Path, Range, Text
from rules.match.intervals import overlaps
from rules.match.kinds import network_range

_MOST_TEXTS = 4
"""A crowd with more texts at its path is not filed, so that the groups together have few rules more than once."""

_PRESENT = "present"


def choose(clauses: Mapping[int, Sequence[Clause]], few: int) -> dict[int, Clause]:
    """The clause to file each rule under, by the rules' positions; those of which none narrows enough are left out.

    As many rules as `few` are tried one by one: a clause that no more rules share is as good as any.
    """
    usable = {position: [clause for clause in own if _is_usable(clause)] for position, own in clauses.items()}
    crowds = _Crowds(usable, few)
    popularity: Counter[Path] = Counter()
    easy: dict[int, list[Clause]] = {}
    for position, own in usable.items():
        easy[position] = [clause for clause in own if crowds.of(clause, position) <= few]
        popularity.update({clause.path for clause in easy[position]})
    chosen: dict[int, Clause] = {}
    for position, own in usable.items():
        if easy[position]:
            chosen[position] = max(easy[position], key=lambda clause: popularity[clause.path])
        elif shared := [clause for clause in own if _may_be_crowded(clause)]:
            least = min(shared, key=lambda clause: crowds.of(clause, position))
            if crowds.of(least, position) <= len(clauses) // 2:
                chosen[position] = least
    return chosen


def _is_usable(clause: Clause) -> bool:
    """A value that is missing finds nothing."""
    return bool(clause.atoms) and not any(isinstance(atom, Absent) for atom in clause.atoms)


def _may_be_crowded(clause: Clause) -> bool:
    return len(clause.atoms) <= _MOST_TEXTS and all(isinstance(atom, Text | Number | Constant) for atom in clause.atoms)


class _Crowds:
    """How many rules are found together, by each atom at each path."""

    def __init__(self, clauses: Mapping[int, Sequence[Clause]], few: int) -> None:
        self._alike: defaultdict[Path, Counter[Hashable]] = defaultdict(Counter)
        ranges: defaultdict[tuple[Path, Hashable], list[tuple[Range, int]]] = defaultdict(list)
        for position, own in clauses.items():
            for path in {clause.path for clause in own}:
                atoms = {atom: None for clause in own if clause.path == path for atom in clause.atoms}
                self._alike[path].update({_key(atom) for atom in atoms})
                for atom in atoms:
                    if isinstance(atom, Range | Network):
                        as_range = atom if isinstance(atom, Range) else network_range(atom)
                        ranges[path, _key(atom)].append((as_range, position))
        self._overlapping = {at: overlaps(of_kind, few) for at, of_kind in ranges.items()}

    def of(self, clause: Clause, position: int) -> int:
        """With how many rules a value may be shared that meets a clause of the rule at a position, itself among them."""
        return max(self._of_atom(clause.path, atom, position) for atom in clause.atoms)

    def _of_atom(self, path: Path, atom: Atom, position: int) -> int:
        key = _key(atom)
        if isinstance(atom, Range | Network):
            return self._overlapping[path, key][position]
        return self._alike[path][key]


def _key(atom: Atom) -> Hashable:
    match atom:
        case Text(text, how, folds):
            return text, how, folds
        case Number(exact, _):
            return "number", exact
        case Constant(value):
            return "constant", value
        case Range():
            return "text range" if atom.is_text else "number range"
        case Network():
            return "network"
    return _PRESENT
