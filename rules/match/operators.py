"""The operators of patterns. One that looks at a single element of an array stands in an `Operators`, which opens arrays;
`not`, `exists`, `any` and `all` look at an array as a whole."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import translate
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from math import isfinite
from typing import Any

from rules import numbers
from rules.errors import TypeClashError
from rules.event import MISSING
from rules.explain import FailedCondition, Trail
from rules.match.tree import (
    IGNORE_CASE,
    Leaf,
    Path,
    Pattern,
    Required,
    Scalar,
    Test,
    all_of,
    clash,
    conjunction,
    first_failed,
    listed,
    number_in,
)

TextTest = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class AllOf(Pattern):
    """Patterns that a value has to match, all of them, each by its own way with arrays."""

    patterns: tuple[Pattern, ...]

    def __str__(self) -> str:
        return f"{{ {', '.join(_without_braces(pattern) for pattern in self.patterns)} }}"

    def required(self, path: Path) -> Iterator[Required]:
        for pattern in self.patterns:
            yield from pattern.required(path)

    def leaves(self, trail: Trail, path: Path) -> Iterator[Leaf]:
        for pattern in self.patterns:
            yield from pattern.leaves(trail, path)

    def compiled(self) -> Test:
        return conjunction([pattern.test for pattern in self.patterns])

    def _inside(self, value: Any, trail: Trail, *, is_error: bool) -> FailedCondition | None:
        return first_failed((pattern.explain(value, trail) for pattern in self.patterns), is_error=is_error)


@dataclass(frozen=True, slots=True)
class Operators(AllOf):
    """Operators that one value, or one element of an array, has to satisfy together."""

    opens_arrays = True


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

    def compiled(self) -> Test:
        return compared(COMPARISONS[self.name], self.bound)


COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def compared(compare: Callable[[Any, Any], bool], constant: Scalar) -> Test:
    """The test that a value is on one side of a constant, which is a number or a text."""
    bound = constant.value
    if isinstance(bound, str):
        return lambda value: compare(value, bound) if isinstance(value, str) else clash(value, "text")
    exact, near = number_in(constant)

    def test(value: Any) -> bool:
        kind = type(value)
        if kind is int or (kind is Decimal and value.is_finite()):
            return compare(value, exact)
        if kind is not float or not isfinite(value):
            return clash(value, "a number")
        return compare(value if near is not None else numbers.exact(value), exact if near is None else near)

    return test


@dataclass(frozen=True, slots=True)
class Between(Operator):
    """Two bounds, both included."""

    low: Scalar
    high: Scalar

    def _operand(self) -> str:
        return listed((self.low, self.high))

    def compiled(self) -> Test:
        return conjunction([compared(operator.ge, self.low), compared(operator.le, self.high)])


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

    def compiled(self) -> Test:
        make = _folding(TEXT_TESTS[self.name]) if self.folds else TEXT_TESTS[self.name]
        tests = [make(text.value) for text in self.texts]
        return lambda value: any(test(value) for test in tests) if isinstance(value, str) else clash(value, "text")


def _folding(test_for: Callable[[str], TextTest]) -> Callable[[str], TextTest]:
    def folding(text: str) -> TextTest:
        test = test_for(text.casefold())
        return lambda value: test(value.casefold())

    return folding


def _prefix(prefix: str) -> TextTest:
    return lambda text: text.startswith(prefix)


def _suffix(suffix: str) -> TextTest:
    return lambda text: text.endswith(suffix)


def _equal(expected: str) -> TextTest:
    return lambda text: text == expected


def _glob(pattern: str) -> TextTest:
    matched = re.compile(translate(pattern)).match
    return lambda text: matched(text) is not None


def _cidr(network_text: str) -> TextTest:
    """Whether an address is in a network. IPv4 written as IPv6 is IPv4 on both sides (RFC 4291, section 2.5.5.2).

    The zone of an address (`fe80::1%eth0`) plays no part. What is no address is a clash, and so not in `not: {cidr}`
    either: nothing passes a list of forbidden networks because of its spelling.

    Raises: ValueError: no network.
    """
    network = _plain_network(ip_network(network_text))

    def test(text: str) -> bool:
        try:
            address = ip_address(text.strip())
        except ValueError:
            raise TypeClashError("expected an IP address") from None
        return (getattr(address, "ipv4_mapped", None) or address) in network

    return test


def _plain_network(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


_MAPPED_BITS = 96

TEXT_TESTS: Mapping[str, Callable[[str], TextTest]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "glob": _glob,
    "cidr": _cidr,
    "ignore_case": _equal,
}
"""What the operators on text ask of a text. Each raises ValueError for an operand that it cannot use."""


@dataclass(frozen=True, slots=True)
class Nested(Operator):
    """An operator that holds a pattern, and hands on to it the value as it is: `any`, `ignore_case`."""

    pattern: Pattern

    def _operand(self) -> str:
        return str(self.pattern)

    def compiled(self) -> Test:
        return self.pattern.test

    def _inside(self, value: Any, trail: Trail, *, is_error: bool) -> FailedCondition | None:
        return self.pattern.explain(value, trail.operator(self.name))


@dataclass(frozen=True, slots=True)
class NotMatching(Operator):
    """There is a value, and it does not match; of an array, no element does."""

    pattern: Pattern

    def _operand(self) -> str:
        return str(self.pattern)

    def compiled(self) -> Test:
        test = self.pattern.test
        return lambda value: value is not MISSING and not test(value)

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

    def compiled(self) -> Test:
        expected = self.expected
        return lambda value: (value is not MISSING) is expected


@dataclass(frozen=True, slots=True)
class EveryElement(Operator):
    """Each element matches. A value that is no array is an array of one, as XML has it; nothing is true of an empty one."""

    pattern: Pattern

    def _operand(self) -> str:
        return str(self.pattern)

    def compiled(self) -> Test:
        test = self.pattern.test

        def every(value: Any) -> bool:
            elements = value if type(value) is list else [value]
            return bool(elements) and all_of((test, element) for element in elements)

        return every

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

    def compiled(self) -> Test:
        return lambda value: False
