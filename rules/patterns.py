"""`match`: a pattern of data, compiled once to closures.

What a pattern says of a value:

    open                      equal; text equals text only, and true is not 1
    [open, held]              one of these: a list is OR
    {state: open, by: ann}    an object with these fields: keys are AND
    {gte: 100, lt: 500}       all of these operators: see OPERATORS

An array matches when one of its elements does, and then that same element satisfies everything said of it. A field that
is missing matches nothing but `exists: false`. A comparison between kinds, such as text with `gte: 100`, is neither
true nor false: where nothing else decides, it is an error. So the order of keys and elements never matters.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import translate
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from math import isfinite
from typing import Any

from rules import numbers
from rules.errors import TypeClashError
from rules.event import MISSING, Event, Opaque
from rules.expressions import EVENT_NAMES
from rules.node import Node
from rules.problems import Problems, did_you_mean

Test = Callable[[Any], bool]
"""Whether a value, or MISSING, matches. Raises: TypeClashError."""

Path = tuple[str, ...]

_ATTRIBUTES = ("id", "source", "type", "subject", "time", "data", "meta")


@dataclass(frozen=True, slots=True)
class Match:
    """A rule's `match`. `required` are texts of which an event needs one at each path: what an index can use."""

    test: Callable[[Event], bool]
    required: Mapping[Path, frozenset[str]] = field(default_factory=dict)


MATCH_ALL = Match(lambda event: True)
"""A rule without `match`."""


def compile_match(node: Node, problems: Problems) -> Match:
    """Compile a rule's `match`, reporting every mistake in it."""
    if not isinstance(node.value, dict):
        problems.add(node, "expected keys such as type and data")
        return MATCH_ALL
    tests: list[tuple[Callable[[Event], Any], Test]] = []
    required: dict[Path, frozenset[str]] = {}
    for name, entry in node.value.items():
        if name not in _ATTRIBUTES:
            problems.unknown_key(name, entry, _ATTRIBUTES)
            continue
        if name not in ("data", "meta"):
            _check_texts(entry, problems)
        tests.append((EVENT_NAMES[name], _pattern(entry, problems)))
        required.update(_required(entry, (name,)))
    return Match(lambda event: _all((test, _or_missing(read(event))) for read, test in tests), required)


def _check_texts(node: Node, problems: Problems) -> None:
    """An attribute of an event is text, which no number and no boolean equals."""
    for item in node.value if isinstance(node.value, list) else [node]:
        if isinstance(item.value, int | float):
            problems.add(item, "this attribute is text, and this never equals it", f'write "{item.text}"')


def _or_missing(attribute: Any) -> Any:
    return MISSING if attribute is None or attribute == "" else attribute


def _required(node: Node, path: Path) -> Iterable[tuple[Path, frozenset[str]]]:
    match node.value:
        case dict() as entries if not _are_operators(entries):
            for name, entry in entries.items():
                yield from _required(entry, (*path, name))
        case str() as text:
            yield path, frozenset((text,))
        case list() as items:
            texts = frozenset(item.value for item in items if isinstance(item.value, str))
            if items and all(isinstance(item.value, str) for item in items):
                yield path, texts


def _pattern(node: Node, problems: Problems) -> Test:
    match node.value:
        case dict() as entries if _are_operators(entries):
            return _operators(entries, problems)
        case dict() as entries:
            _check_unmixed(entries, problems)
            _doubt_fields(entries, problems)
            return _fields(entries, problems)
        case list() as items:
            return _alternatives(node, items, problems)
        case scalar:
            if isinstance(scalar, str) and "{{" in scalar:
                problems.add(node, "a pattern is constant", "compare values of an event in `when`")
            return _on_elements(_equal(node))


def _are_operators(entries: dict[str, Node]) -> bool:
    return bool(entries) and entries.keys() <= OPERATORS.keys()


def _doubt_fields(entries: dict[str, Node], problems: Problems) -> None:
    """A mistyped operator is a field that no event has: the rule would never fire, and nobody would hear of it."""
    if not OPERATORS.keys().isdisjoint(entries):
        return
    meant = {name: _OPERATORS_ELSEWHERE.get(name) or _near_operator(name) for name in entries}
    if all(meant.values()):
        for name, hint in meant.items():
            problems.warn(entries[name], f"taken for a field named {name}, as no operator is", hint)


def _near_operator(name: str) -> str:
    return did_you_mean(name, _MISTAKABLE, all_if_few=False, cutoff=0.85)


def _check_unmixed(entries: dict[str, Node], problems: Problems) -> None:
    operators = [name for name in entries if name in OPERATORS]
    for name, entry in entries.items():
        if operators and name not in OPERATORS:
            close = did_you_mean(name, OPERATORS, all_if_few=False)
            hint = close or f"use `when` for a field named {operators[0]}"
            problems.add(entry, f"no operator, but it stands beside {operators[0]}", hint, mark=entry.key_mark)


def _fields(entries: dict[str, Node], problems: Problems) -> Test:
    fields = [(name, _pattern(entry, problems)) for name, entry in entries.items()]

    def test(value: Any) -> bool:
        if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101 - dict first is five times as fast
            return _all((field_test, value.get(name, MISSING)) for name, field_test in fields)
        if isinstance(value, Opaque):
            raise TypeClashError(f"{value.kind} is not read")
        return bool(fields) and _all((field_test, MISSING) for _, field_test in fields)

    return _on_elements(test)


def _alternatives(node: Node, items: list[Node], problems: Problems) -> Test:
    if not items:
        problems.add(node, "an empty list matches nothing")
    texts = frozenset(item.value for item in items if isinstance(item.value, str))
    if all(isinstance(item.value, str) for item in items):
        return _on_elements(lambda value: isinstance(value, str) and value in texts)
    tests = [_pattern(item, problems) for item in items]
    return lambda value: _any((test, value) for test in tests)


def _operators(entries: dict[str, Node], problems: Problems) -> Test:
    on_element: list[Test] = []
    on_whole: list[Test] = []
    for name, node in entries.items():
        tests = on_whole if name in _ON_WHOLE else on_element
        tests.append(OPERATORS[name](node, problems))
    if on_element:
        on_whole.append(_on_elements(_conjunction(on_element)))
    return _conjunction(on_whole)


def _conjunction(tests: list[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda value: _all((test, value) for test in tests)


def _on_elements(test: Test) -> Test:
    """The same test for an array: whether one of its elements passes."""

    def on_elements(value: Any) -> bool:
        if type(value) is not list:
            return test(value)
        return _any((on_elements, element) for element in value)

    return on_elements


def _all(questions: Iterable[tuple[Test, Any]]) -> bool:
    return _decided(questions, by=False)


def _any(questions: Iterable[tuple[Test, Any]]) -> bool:
    return _decided(questions, by=True)


def _decided(questions: Iterable[tuple[Test, Any]], *, by: bool) -> bool:
    """Kleene's three-valued logic: one answer `by` decides, clashes or not; else a clash is the answer."""
    clash: TypeClashError | None = None
    for test, value in questions:
        try:
            if test(value) is by:
                return by
        except TypeClashError as error:
            clash = error
    if clash is not None:
        raise clash
    return not by


def _equal(node: Node) -> Test:
    match node.value:
        case str() as text:
            return lambda value: isinstance(value, str) and value == text
        case int() | float() as number if numbers.is_number(number):
            return _equal_number(node)
        case scalar:
            return lambda value: value is scalar


def _equal_number(node: Node) -> Test:
    exact, near = _number_in(node)

    def test(value: Any) -> bool:
        return value == near if near is not None and type(value) is float else numbers.equal(value, exact)

    return test


def _number_in(node: Node) -> tuple[int | Decimal, int | float | None]:
    """The number as written (19.95, not the float nearest to it), and one that a float compares with directly.

    The direct comparison is the usual case and takes a tenth of the time. It says the same wherever the number is
    itself a float, or an integer that one holds.
    """
    value = node.value
    if isinstance(value, int):
        return value, value if abs(value) <= numbers.EXACT_FLOATS else None
    assert isinstance(value, float)
    if not value or not isfinite(value):  # an infinite one was reported as the file was read
        return 0, 0
    written = Decimal(node.text or repr(value))
    return written, value if numbers.exact(value) == written else None


def _clash(value: Any, expected: str) -> bool:
    """The answer where a value is not of the kind an operator compares: no for no value, else none at all."""
    if value is MISSING or value is None:
        return False
    raise TypeClashError(f"expected {expected}, found {type(value).__name__}")


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Node, Problems], Test]:
    """Numbers compare with numbers, texts with texts by code point (so RFC 3339 times of one zone compare too)."""

    def compile_ordered(node: Node, problems: Problems) -> Test:
        bound = node.value
        if isinstance(bound, str):
            return lambda value: compare(value, bound) if isinstance(value, str) else _clash(value, "text")
        if not numbers.is_number(bound):
            problems.add(node, "expected a number or a text to compare with")
            return lambda value: False
        exact, near = _number_in(node)

        def test(value: Any) -> bool:
            kind = type(value)
            if kind is int or (kind is Decimal and value.is_finite()):
                return compare(value, exact)
            if kind is not float or not isfinite(value):
                return _clash(value, "a number")
            return compare(value if near is not None else numbers.exact(value), exact if near is None else near)

        return test

    return compile_ordered


def _between(node: Node, problems: Problems) -> Test:
    if not isinstance(node.value, list) or len(node.value) != 2:
        problems.add(node, "expected two bounds, both included", "between: [10, 20]")
        return lambda value: False
    low, high = node.value
    match low.value, high.value:
        case (str(), int() | float()) | (int() | float(), str()):
            problems.add(node, "expected two numbers, or two texts")
        case (str() as first, str() as last) if first > last:
            problems.add(node, "nothing is between these: the first is above the second")
        case (int() | float(), int() | float()) if _number_in(low)[0] > _number_in(high)[0]:
            problems.add(node, "nothing is between these: the first is above the second")
    return _conjunction([_ordered(operator.ge)(low, problems), _ordered(operator.le)(high, problems)])


def _textual(test_for: Callable[[str], Callable[[str], bool]]) -> Callable[[Node, Problems], Test]:
    """An operator on text; a list of texts is OR. `test_for` may raise ValueError for a text it cannot use."""

    def compile_textual(node: Node, problems: Problems) -> Test:
        tests: list[Callable[[str], bool]] = []
        for item in node.value if isinstance(node.value, list) else [node]:
            if not isinstance(item.value, str):
                problems.add(item, "expected a text, or a list of texts")
                continue
            try:
                tests.append(test_for(item.value))
            except ValueError as error:
                problems.add(item, str(error))
        return lambda value: any(test(value) for test in tests) if isinstance(value, str) else _clash(value, "text")

    return compile_textual


def _prefix(prefix: str) -> Callable[[str], bool]:
    return lambda text: text.startswith(prefix)


def _suffix(suffix: str) -> Callable[[str], bool]:
    return lambda text: text.endswith(suffix)


def _glob(pattern: str) -> Callable[[str], bool]:
    matched = re.compile(translate(pattern)).match
    return lambda text: matched(text) is not None


def _cidr(network_text: str) -> Callable[[str], bool]:
    """Whether an address is in a network. IPv4 written as IPv6 is IPv4 on both sides (RFC 4291, section 2.5.5.2).

    The zone of an address (`fe80::1%eth0`) plays no part. What is no address is a clash, and so not in `not: {cidr}`
    either: nothing passes a list of forbidden networks because of its spelling.
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


def _not(node: Node, problems: Problems) -> Test:
    """Of an array: no element matches. Of nothing: no."""
    test = _pattern(node, problems)
    return lambda value: value is not MISSING and not test(value)


def _exists(node: Node, problems: Problems) -> Test:
    """Null is a value: it exists."""
    if not isinstance(node.value, bool):
        problems.add(node, "expected true or false")
    expected = node.value is True
    return lambda value: (value is not MISSING) is expected


def _some(node: Node, problems: Problems) -> Test:
    return _pattern(node, problems)


def _every(node: Node, problems: Problems) -> Test:
    """A value that is no array is an array of one, as XML has it; nothing is true of an empty one."""
    test = _pattern(node, problems)

    def every(value: Any) -> bool:
        elements = value if type(value) is list else [value]
        return bool(elements) and _all((test, element) for element in elements)

    return every


OPERATORS: Mapping[str, Callable[[Node, Problems], Test]] = {
    "prefix": _textual(_prefix),
    "suffix": _textual(_suffix),
    "glob": _textual(_glob),
    "not": _not,
    "gt": _ordered(operator.gt),
    "gte": _ordered(operator.ge),
    "lt": _ordered(operator.lt),
    "lte": _ordered(operator.le),
    "between": _between,
    "exists": _exists,
    "cidr": _textual(_cidr),
    "any": _some,
    "all": _every,
}
_MISTAKABLE = ("prefix", "suffix", "between", "exists", "cidr")
"""Many a field is named nearly like the others: note, call, global, late, get."""

_OPERATORS_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("eq", "equals"), "for equality write the value itself"),
    **dict.fromkeys(("in", "one_of"), "for one of several write a list of them"),
    **dict.fromkeys(("ne", "neq", "anything-but"), "did you mean not?"),
    **dict.fromkeys(("ge", "gteq"), "did you mean gte?"),
    **dict.fromkeys(("le", "lteq"), "did you mean lte?"),
    **dict.fromkeys(("starts_with", "startswith"), "did you mean prefix?"),
    **dict.fromkeys(("ends_with", "endswith"), "did you mean suffix?"),
    **dict.fromkeys(("regex", "matches", "wildcard"), "did you mean glob?"),
}
_ON_WHOLE = frozenset({"not", "exists", "any", "all"})
"""These look at an array as a whole; the others at one element, the same for all of them."""
