"""The operators of patterns. One that looks at a single element of an array stands in an `Operators`, which opens arrays;
`not`, `exists`, `any` and `all` look at an array as a whole."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import translate
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import isfinite
from typing import Any

from rules import numbers
from rules.errors import TypeClashError
from rules.event import MISSING
from rules.explain import FailedCondition, Trail
from rules.match.clauses import (
    Absent,
    AnyNumber,
    AnyText,
    Asked,
    Atom,
    Bound,
    Clause,
    Path,
    Present,
    Range,
    Text,
    all_asked,
    each_asked,
    none_asked,
)
from rules.match.kinds import address_of, network_atom
from rules.match.logic import Test, all_of, clash, conjunction, single_or_all
from rules.match.tree import (
    IGNORE_CASE,
    Leaf,
    Pattern,
    Required,
    Scalar,
    Shape,
    first_failed,
    listed,
    number_in,
    test_of,
)


@dataclass(frozen=True, slots=True)
class AllOf(Pattern):
    """Patterns that a value has to match, all of them, each by its own way with arrays."""

    patterns: tuple[Pattern, ...]

    def __str__(self) -> str:
        return f"{{ {', '.join(_without_braces(pattern) for pattern in self.patterns)} }}"

    def required(self, path: Path) -> Iterator[Required]:
        for pattern in self.patterns:
            yield from pattern.required(path)

    def asked(self, path: Path) -> Asked:
        return all_asked([pattern.asked(path) for pattern in self.patterns])

    def leaves(self, trail: Trail, path: Path) -> Iterator[Leaf]:
        for pattern in self.patterns:
            yield from pattern.leaves(trail, path)

    @property
    def shape(self) -> Shape:
        return type(self), *(pattern.shape for pattern in self.patterns)

    @property
    def constants(self) -> Any:
        return single_or_all([pattern.constants for pattern in self.patterns])

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        return conjunction([test_of(inner) for inner in shape])

    def _inside(self, value: Any, trail: Trail, *, is_error: bool) -> FailedCondition | None:
        return first_failed((pattern.explain(value, trail) for pattern in self.patterns), is_error=is_error)


@dataclass(frozen=True, slots=True)
class Operators(AllOf):
    """Operators that one value, or one element of an array, has to satisfy together."""

    opens_arrays = True

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        match shape:
            case ((of, above, low), (other, below, high)) if of is other is Compares:
                return _within(above, low, below, high)
        return AllOf.compiled(*shape)

    def asked(self, path: Path) -> Asked:
        """Two comparisons of one kind are one range, which fewer values are in."""
        parts = [pattern.asked(path) for pattern in self.patterns]
        single = [part.clauses[0].atoms for part in parts if part.whole and len(part.clauses) == 1]
        ends = [atoms[0] for atoms in single if len(atoms) == 1]
        ranges = [atom for atom in ends if isinstance(atom, Range) and (atom.low is None or atom.high is None)]
        if len(ranges) != 2 or len(parts) != 2:
            return all_asked(parts)
        first, second = ranges
        low, high = first.low or second.low, first.high or second.high
        if low is None or high is None or first.is_text is not second.is_text:
            return all_asked(parts)
        return Asked((Clause(path, (Range(low, high),)),), whole=True)


def _without_braces(pattern: Pattern) -> str:
    return str(pattern).removeprefix("{ ").removesuffix(" }") if isinstance(pattern, AllOf) else str(pattern)


@dataclass(frozen=True, slots=True)
class Operator(Pattern):
    """An operator: its name, and what it is given."""

    name: str

    def __str__(self) -> str:
        return f"{self.name}: {self._operand()}"

    def _operand(self) -> str:
        raise NotImplementedError

    def _own(self, trail: Trail) -> Trail:
        return trail.operator(self.name)


@dataclass(frozen=True, slots=True)
class Compares(Operator):
    """`gt`, `gte`, `lt`, `lte`: numbers with numbers, texts with texts by code point.

    So RFC 3339 times of one zone compare too.
    """

    bound: Scalar

    def _operand(self) -> str:
        return str(self.bound)

    @property
    def shape(self) -> Shape:
        return Compares, self.name, _bound_kind(self.bound)

    @property
    def constants(self) -> Any:
        return _compared_with(self.bound)

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        name, kind = shape
        return _compared(COMPARISONS[name], kind)

    def asked(self, path: Path) -> Asked:
        bound = _bound(self.bound, is_in=self.name in ("gte", "lte"))
        if bound is None:
            return Asked((Clause(path, (AnyNumber(),)),))
        atom = Range(bound, None) if self.name in ("gt", "gte") else Range(None, bound)
        return Asked((Clause(path, (atom,)),), whole=True)


def _within(above: str, low: str, below: str, high: str) -> Test:
    """The test that a value is between two bounds, by the comparisons with them and their kinds."""
    is_above, is_below = COMPARISONS[above], COMPARISONS[below]
    each = conjunction([_compared(is_above, low), _compared(is_below, high)])
    if (low, high) != ("number", "number"):
        return each

    def test(bounds: Any, value: Any) -> bool:
        (low_exact, low_near), (high_exact, high_near) = bounds
        of = type(value)
        if of is float and isfinite(value):
            return is_above(value, low_near) and is_below(value, high_near)
        if of is int:
            return is_above(value, low_exact) and is_below(value, high_exact)
        return each(bounds, value)

    return test


def _bound(constant: Scalar, *, is_in: bool) -> Bound | None:
    """An end of a range for an index; None: no float compares with it directly."""
    if isinstance(constant.value, str):
        return Bound(constant.value, constant.value, is_in)
    exact, near = number_in(constant)
    return None if near is None else Bound(exact, near, is_in)


COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def _bound_kind(constant: Scalar) -> str:
    if isinstance(constant.value, str):
        return "text"
    return "digits" if number_in(constant)[1] is None else "number"


def _compared_with(constant: Scalar) -> Any:
    return constant.value if isinstance(constant.value, str) else number_in(constant)


def _compared(compare: Callable[[Any, Any], bool], kind: str) -> Test:
    """The test that a value is on one side of a bound of a kind."""
    if kind == "text":
        return lambda bound, value: compare(value, bound) if isinstance(value, str) else clash(value, "text")

    def test(bound: tuple[Any, Any], value: Any) -> bool:
        exact, near = bound
        of = type(value)
        if of is int or (of is Decimal and value.is_finite()):
            return compare(value, exact)
        if of is not float or not isfinite(value):
            return clash(value, "a number")
        return compare(numbers.exact(value), exact) if near is None else compare(value, near)

    return test


@dataclass(frozen=True, slots=True)
class Between(Operator):
    """Two bounds, both included."""

    low: Scalar
    high: Scalar

    def _operand(self) -> str:
        return listed((self.low, self.high))

    @property
    def shape(self) -> Shape:
        return Between, _bound_kind(self.low), _bound_kind(self.high)

    @property
    def constants(self) -> Any:
        return _compared_with(self.low), _compared_with(self.high)

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        low, high = shape
        return _within("gte", low, "lte", high)

    def asked(self, path: Path) -> Asked:
        low, high = _bound(self.low, is_in=True), _bound(self.high, is_in=True)
        if low is None or high is None or isinstance(low.exact, str) is not isinstance(high.exact, str):
            return Asked((Clause(path, (AnyNumber(),)),) if low is None and high is None else ())
        return Asked((Clause(path, (Range(low, high),)),), whole=True)


@dataclass(frozen=True, slots=True)
class Textual(Operator):
    """An operator on text; several texts are OR. `folds` compares by Unicode's full case folding: `STRASSE` is `straße`."""

    texts: tuple[Scalar, ...]
    folds: bool = False

    def _operand(self) -> str:
        return str(self.texts[0]) if len(self.texts) == 1 else listed(self.texts)

    def required(self, path: Path) -> Iterator[Required]:
        if self.name == "ignore_case" and self.texts:
            yield (*path, IGNORE_CASE), tuple(text.value.casefold() for text in self.texts)

    def asked(self, path: Path) -> Asked:
        asked_of = [self._asked_of(text.value.casefold() if self.folds else text.value) for text in self.texts]
        if len(asked_of) == 1 and self.name == "glob":
            atoms, whole = asked_of[0]
            return Asked(tuple(Clause(path, (atom,)) for atom in atoms), whole)
        first_of_each = tuple(atoms[0] for atoms, _ in asked_of)
        return Asked((Clause(path, first_of_each),), all(whole for _, whole in asked_of))

    def _asked_of(self, text: str) -> tuple[tuple[Atom, ...], bool]:
        """What is asked for one of the texts, and whether that is all of it."""
        match self.name:
            case "cidr":
                return (network_atom(_network(text)),), True
            case "glob":
                return _asked_by_glob(text, folds=self.folds)
        how = "equal" if self.name == "ignore_case" else self.name
        return (Text(text, how, self.folds, clashes=True),), True

    @property
    def shape(self) -> Shape:
        return Textual, self.name, self.folds, len(self.texts) == 1

    @property
    def constants(self) -> Any:
        make = TEXT_OPERANDS[self.name]
        return single_or_all([make(text.value.casefold() if self.folds else text.value) for text in self.texts])

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        name, folds, is_single = shape
        test = _TEXT_TESTS[name]
        if not is_single:
            test = _one_of(test)
        if folds:
            return lambda own, value: test(own, value.casefold()) if isinstance(value, str) else clash(value, "text")
        return lambda own, value: test(own, value) if isinstance(value, str) else clash(value, "text")


def _one_of(test: Test) -> Test:
    return lambda constants, text: any(test(each, text) for each in constants)


def _prefix(prefix: str, text: str) -> bool:
    return text.startswith(prefix)


def _suffix(suffix: str, text: str) -> bool:
    return text.endswith(suffix)


def _glob(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.match(text) is not None


def _asked_by_glob(pattern: str, *, folds: bool) -> tuple[tuple[Atom, ...], bool]:
    """How a text has to begin and to end; that is all where the rest is one star."""
    begin = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    end = "" if "[" in pattern else re.split(r"[*?]", pattern)[-1]
    atoms: list[Atom] = []
    if begin:
        atoms.append(Text(begin, "prefix", folds, clashes=True))
    if end and begin != pattern:
        atoms.append(Text(end, "suffix", folds, clashes=True))
    is_all = len(atoms) == 1 and pattern in (f"{begin}*", f"*{end}")
    return tuple(atoms) or (AnyText(),), is_all


def _cidr(network: tuple[int, int], text: str) -> bool:
    """Whether an address is in a network. IPv4 written as IPv6 is IPv4 on both sides (RFC 4291, section 2.5.5.2).

    The zone of an address (`fe80::1%eth0`) plays no part. What is no address is a clash, and so not in `not: {cidr}`
    either: nothing passes a list of forbidden networks because of its spelling.
    """
    address = address_of(text)
    if address is None:
        raise TypeClashError("expected an IP address")
    first, last = network
    return first <= address <= last


def _network(text: str) -> IPv4Network | IPv6Network:
    return _plain_network(ip_network(text))


def _plain_network(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


_MAPPED_BITS = 96

TEXT_OPERANDS: Mapping[str, Callable[[str], Any]] = {
    "prefix": str,
    "suffix": str,
    "glob": lambda pattern: re.compile(translate(pattern)),
    "cidr": lambda network: tuple(network_atom(_network(network))),
    "ignore_case": str,
}
"""What the operators on text compare a text with. Each raises ValueError for an operand that it cannot use."""

_TEXT_TESTS: Mapping[str, Test] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "glob": _glob,
    "cidr": _cidr,
    "ignore_case": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Nested(Operator):
    """An operator that holds a pattern, and hands on to it the value as it is: `any`, `ignore_case`."""

    pattern: Pattern

    def _operand(self) -> str:
        return str(self.pattern)

    @property
    def shape(self) -> Shape:
        return self.pattern.shape

    @property
    def constants(self) -> Any:
        return self.pattern.constants

    def asked(self, path: Path) -> Asked:
        return self.pattern.asked(path)

    def _inside(self, value: Any, trail: Trail, *, is_error: bool) -> FailedCondition | None:
        return self.pattern.explain(value, trail.operator(self.name))


@dataclass(frozen=True, slots=True)
class NotMatching(Operator):
    """There is a value, and it does not match; of an array, no element does."""

    pattern: Pattern

    def _operand(self) -> str:
        return str(self.pattern)

    @property
    def shape(self) -> Shape:
        return NotMatching, self.pattern.shape

    @property
    def constants(self) -> Any:
        return self.pattern.constants

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        test = test_of(*shape)
        return lambda constants, value: value is not MISSING and not test(constants, value)

    def asked(self, path: Path) -> Asked:
        return none_asked(self.pattern.asked(path), path)

    def _inside(self, value: Any, trail: Trail, *, is_error: bool) -> FailedCondition | None:
        """An error is that of the pattern; of an array the element that matches is what was seen."""
        if is_error:
            return self.pattern.explain(value, trail.operator(self.name))
        if type(value) is list and len(value) != 1:
            return first_failed(
                (self.explain(element, trail.element(index)) for index, element in enumerate(value)),
                is_error=False,
            )
        return None


@dataclass(frozen=True, slots=True)
class Exists(Operator):
    """Whether there is a value. Null is one."""

    expected: bool

    def _operand(self) -> str:
        return "true" if self.expected else "false"

    @property
    def shape(self) -> Shape:
        return Exists, self.expected

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        [expected] = shape
        return lambda _, value: (value is not MISSING) is expected

    def asked(self, path: Path) -> Asked:
        return Asked((Clause(path, (Present() if self.expected else Absent(),)),), whole=True)


@dataclass(frozen=True, slots=True)
class EveryElement(Operator):
    """Each element matches. A value that is no array is an array of one, as XML has it; nothing is true of an empty one."""

    pattern: Pattern

    def _operand(self) -> str:
        return str(self.pattern)

    @property
    def shape(self) -> Shape:
        return EveryElement, self.pattern.shape

    @property
    def constants(self) -> Any:
        return self.pattern.constants

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        test = test_of(*shape)

        def every(constants: Any, value: Any) -> bool:
            elements = value if type(value) is list else [value]
            return bool(elements) and all_of((test, constants, element) for element in elements)

        return every

    def asked(self, path: Path) -> Asked:
        return each_asked(self.pattern.asked(path))

    def _inside(self, value: Any, trail: Trail, *, is_error: bool) -> FailedCondition | None:
        inner = trail.operator(self.name)
        if type(value) is not list:
            return self.pattern.explain(value, inner)
        return first_failed(
            (self.pattern.explain(element, inner.element(index)) for index, element in enumerate(value)),
            is_error=is_error,
        )


@dataclass(frozen=True, slots=True)
class Nothing(Pattern):
    """What a mistake is taken for: it matches nothing, and the configuration is refused."""

    def __str__(self) -> str:
        return "nothing"

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        return lambda _, value: False
