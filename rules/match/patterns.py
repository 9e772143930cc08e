"""`match`: a pattern of data, compiled once to closures.

What a pattern says of a value:

    open                      equal; text equals text only, and true is not 1
    [open, held]              one of these: a list is OR
    {state: open, by: ann}    an object with these fields: keys are AND
    {gte: 100, lt: 500}       all of these operators: see OPERATORS
    {ignore_case: acme}       equal but for case

An array matches when one of its elements does, and then that same element satisfies everything said of it. A field that
is missing matches nothing but `exists: false`. A comparison between kinds, such as text with `gte: 100`, is neither
true nor false: where nothing else decides, it is an error. So the order of keys and elements never matters.
"""

import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import translate
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from math import isfinite
from typing import Any

from rules import numbers
from rules.advice.foreign import comparison_cure, folded, may_be_field, operator_cure
from rules.errors import TypeClashError
from rules.event import MISSING, Event, Opaque
from rules.expressions import EVENT_NAMES
from rules.node import Node
from rules.problems import Problems, did_you_mean

Test = Callable[[Any], bool]
"""Whether a value, or MISSING, matches. Raises: TypeClashError."""

Path = tuple[str, ...]

IGNORE_CASE = "\0ignore_case"
"""The end of a required path whose texts are case-folded: so are the texts of an event to be compared with them."""

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
        hint = "a condition in words stands in `when`" if isinstance(node.value, str) else ""
        problems.add(node, "expected keys such as type and data", hint)
        return MATCH_ALL
    tests: list[tuple[Callable[[Event], Any], Test]] = []
    required: dict[Path, frozenset[str]] = {}
    for name, entry in node.value.items():
        if name not in _ATTRIBUTES:
            _complain_of_attribute(name, entry, problems)
            continue
        if name not in ("data", "meta"):
            _check_texts(entry, problems)
        tests.append((EVENT_NAMES[name], _pattern(entry, problems)))
        required.update(_required(entry, (name,)))
    return Match(lambda event: _all((test, _or_missing(read(event))) for read, test in tests), required)


def _complain_of_attribute(name: str, entry: Node, problems: Problems) -> None:
    hint = operator_cure(name) or _own_operator(name)
    if hint:
        problems.add(entry, "no attribute of an event", hint, mark=entry.key_mark)
    else:
        problems.unknown_key(name, entry, _ATTRIBUTES)


def _check_texts(node: Node, problems: Problems) -> None:
    """An attribute of an event is text, which no number and no boolean equals."""
    for item in node.value if isinstance(node.value, list) else [node]:
        if isinstance(item.value, int | float):
            problems.add(item, "this attribute is text, and this never equals it", f'write "{item.text}"')


def _or_missing(attribute: Any) -> Any:
    return MISSING if attribute is None or attribute == "" else attribute


def _required(node: Node, path: Path) -> Iterable[tuple[Path, frozenset[str]]]:
    match node.value:
        case {"ignore_case": Node(value=str() | list()) as folded_node, **others} if others.keys() <= OPERATORS.keys():
            for (*_, last), texts in _required(folded_node, path):
                if last == path[-1]:
                    yield (*path, IGNORE_CASE), frozenset(map(str.casefold, texts))
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
            return _fields(entries, problems, doubted=_doubt_fields(entries, problems))
        case list() as items:
            return _alternatives(node, items, problems)
        case _:
            _doubt_scalar(node, problems)
            return _on_elements(_equal(node))


def _are_operators(entries: dict[str, Node]) -> bool:
    return bool(entries) and entries.keys() <= OPERATORS.keys()


def _doubt_fields(entries: dict[str, Node], problems: Problems) -> set[str]:
    """A mistyped operator, or one of another language, is a field that no event has: the rule would never fire.

    What cannot be a field (`$or`, `>=`, `equals-ignore-case`) is doubted wherever it stands; a word that could be one
    only where all the words beside it are operators too. The attributes of an event are texts: they have no fields.
    Returns the names that are doubted: what stands under them is not looked at.
    """
    doubted: set[str] = set()
    if not OPERATORS.keys().isdisjoint(entries):
        return doubted
    meant = {name: _meant(name, entry) for name, entry in entries.items()}
    for name, hint in meant.items():
        entry = entries[name]
        if _fields_above(entry)[:1] not in (["data"], ["meta"]):
            problems.add(entry, "this attribute is text, which has no fields", hint, mark=entry.key_mark)
            doubted.add(name)
        elif hint and (all(meant.values()) or _is_no_field(name)):
            hint += "; a field of this name is asked for in `when`" if may_be_field(name) else ""
            problems.warn(entry, f"taken for a field named {name}, as no operator is", hint)
            doubted.add(name)
    return doubted


def _meant(name: str, entry: Node) -> str:
    """What to write instead of a word that looks like an operator; empty for one that looks like a field."""
    above = _fields_above(entry)
    inside_field = len(above) > 2 or above[:1] not in (["data"], ["meta"])
    own = _own_operator(name) if inside_field or not name[:1].isalpha() else ""
    return own or operator_cure(name, inside_field=inside_field, value=entry.value) or _near_operator(name)


def _own_operator(name: str) -> str:
    """A hint for an operator of ours in another spelling, such as `$gte`, `GTE` or `ignoreCase`."""
    own = {folded(operator): operator for operator in OPERATORS}.get(folded(name))
    return "" if own is None or own == name else f"did you mean {own}?"


@lru_cache(maxsize=1024)
def _near_operator(name: str) -> str:
    return did_you_mean(name, _MISTAKABLE, all_if_few=False, cutoff=0.85)


def _is_no_field(name: str) -> bool:
    """Whether a word says by its form that it is an operator: `$or`, `>=`, `anything-but`."""
    return name.startswith("$") or not any(character.isalnum() for character in name) or "-" in name


def _fields_above(entry: Node) -> list[str]:
    """The names on the way from `match` to an entry, its own among them, without operators and places in lists."""
    path = re.sub(r"\[\d+\]", "", entry.key)
    return [name for name in re.split(r"(?:^|\.)match\.", path, maxsplit=1)[-1].split(".") if name not in OPERATORS]


def _doubt_scalar(node: Node, problems: Problems) -> None:
    """Texts that equal what they say and nothing else, where more was meant."""
    text = node.value
    if isinstance(text, str):
        if "{{" in text:
            problems.add(node, "a pattern is constant", "compare values of an event in `when`")
        elif cure := comparison_cure(text):
            problems.warn(node, "compared as a text, for equality", cure)
        elif len(text) > 1 and (text[0] == "*" or text[-1] == "*"):
            problems.warn(node, "compared as a text, for equality: * is a star", "for any text write { glob: … }")
    elif type(text) is int and _fields_above(node)[:1] in (["data"], ["meta"]) and re.match(r"[-+]?0\d", node.written):
        problems.warn(
            node, f"is the number {text}, which the text {node.written} does not equal", "quote it for the text"
        )


def _check_unmixed(entries: dict[str, Node], problems: Problems) -> None:
    operators = [name for name in entries if name in OPERATORS]
    for name, entry in entries.items():
        if operators and name not in OPERATORS:
            close = _own_operator(name) or operator_cure(name) or did_you_mean(name, OPERATORS, all_if_few=False)
            hint = close or f"use `when` for a field named {operators[0]}"
            problems.add(entry, f"no operator, but it stands beside {operators[0]}", hint, mark=entry.key_mark)


def _fields(entries: dict[str, Node], problems: Problems, doubted: Collection[str]) -> Test:
    fields = [(name, _pattern(entry, Problems() if name in doubted else problems)) for name, entry in entries.items()]

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
    _doubt_bounds(entries, problems)
    return _conjunction(on_whole)


def _doubt_bounds(entries: dict[str, Node], problems: Problems) -> None:
    """Bounds that shut each other out: one value, or one element of an array, has to keep to both."""
    for low in entries.keys() & {"gt", "gte"}:
        for high in entries.keys() & {"lt", "lte"}:
            lowest, highest = entries[low].value, entries[high].value
            if type(lowest) not in (int, float) or type(highest) not in (int, float):
                continue
            if lowest > highest or (lowest == highest and (low, high) != ("gte", "lte")):  # type: ignore[operator] # numbers
                hint = "either of them is a list: [ { lt: 10 }, { gt: 20 } ]"
                problems.warn(entries[low], f"nothing is {low} {lowest} and {high} {highest} at once", hint)


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
            _doubt_number(node, problems)
            return lambda value: compare(value, bound) if isinstance(value, str) else _clash(value, "text")
        if not numbers.is_number(bound):
            hint = "between: [10, 20] has two bounds" if isinstance(bound, list) and len(bound) == 2 else ""
            problems.add(node, "expected a number or a text to compare with", hint)
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


def _doubt_number(node: Node, problems: Problems) -> None:
    """A number in quotes is text, and text compares character by character: "9" is above "100"."""
    if _NUMBER_LIKE.fullmatch(node.text):
        number = re.sub(r"[\s_,'’]", "", node.text)
        problems.warn(
            node, "a text, which no number is compared with, and 9 is above 100 in text",
            f"write {number}; `types` of the source's decode makes numbers of text",
        )  # fmt: skip


_NUMBER_LIKE = re.compile(r"\s*[-+]?\d{1,3}([_,'’ ]\d{3})+(\.\d+)?\s*|\s*[-+]?\d+(\.\d+)?([eE][-+]?\d+)?\s*")


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
                problems.add(item, "expected a text, or a list of texts", _textual_cure(node, item))
                continue
            try:
                tests.append(test_for(item.value))
            except ValueError as error:
                problems.add(item, str(error))
        return lambda value: any(test(value) for test in tests) if isinstance(value, str) else _clash(value, "text")

    return compile_textual


def _textual_cure(node: Node, item: Node) -> str:
    """EventBridge puts the case inside of the operator, we put the operator inside of the case."""
    if isinstance(item.value, dict):
        name = node.key.rpartition(".")[2].partition("[")[0]
        return f"write {{ ignore_case: {{ {name}: … }} }}" if any("ignore" in folded(key) for key in item.value) else ""
    return ""


def _ignore_case(node: Node, problems: Problems) -> Test:
    """Equality, or the operators on text, by Unicode's full case folding: `STRASSE` equals `straße`."""
    match node.value:
        case dict() as entries if entries and entries.keys() <= _TEXTUAL.keys():
            tests = [_textual(_folding(_TEXTUAL[name]))(entry, problems) for name, entry in entries.items()]
            return _conjunction(tests)
        case dict() as entries:
            strange = next((name for name in entries if name not in _TEXTUAL), "")
            hint = f"write {{ {strange}: {{ ignore_case: … }} }}" if strange in _ON_WHOLE - {"exists"} else ""
            problems.add(node, f"expected a text, a list of texts, or one of {', '.join(_TEXTUAL)}", hint)
            return lambda value: False
        case list() as items if any(isinstance(item.value, dict) for item in items):
            tests = [_ignore_case(item, problems) for item in items]
            return lambda value: _any((test, value) for test in tests)
        case []:
            problems.add(node, "an empty list matches nothing")
    return _textual(_folding(lambda expected: lambda text: text == expected))(node, problems)


def _folding(test_for: Callable[[str], Callable[[str], bool]]) -> Callable[[str], Callable[[str], bool]]:
    def folding(text: str) -> Callable[[str], bool]:
        test = test_for(text.casefold())
        return lambda value: test(value.casefold())

    return folding


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


_TEXTUAL: Mapping[str, Callable[[str], Callable[[str], bool]]] = {"prefix": _prefix, "suffix": _suffix, "glob": _glob}
"""The operators that `ignore_case` may hold."""

OPERATORS: Mapping[str, Callable[[Node, Problems], Test]] = {
    "prefix": _textual(_prefix),
    "suffix": _textual(_suffix),
    "glob": _textual(_glob),
    "ignore_case": _ignore_case,
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
_MISTAKABLE = ("prefix", "suffix", "between", "exists", "cidr", "ignore_case")
"""Many a field is named nearly like the others: note, call, global, late, get."""

_ON_WHOLE = frozenset({"not", "exists", "any", "all"})
"""These look at an array as a whole; the others at one element, the same for all of them."""
