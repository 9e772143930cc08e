"""Patterns read from the configuration: nodes of YAML in, trees out, every mistake reported."""

from collections.abc import Callable, Collection, Mapping

from rules.match.doubts import (
    check_unmixed,
    doubt_bounds,
    doubt_fields,
    doubt_number,
    doubt_scalar,
    textual_cure,
)
from rules.match.operators import (
    COMPARISONS,
    TEXT_OPERANDS,
    AllOf,
    Between,
    Compares,
    EveryElement,
    Exists,
    Nested,
    Nothing,
    NotMatching,
    Operators,
    Textual,
)
from rules.match.tree import Equals, Fields, OneOf, OneText, Pattern, number_in, scalar_of
from rules.models import OPERATORS, FoldedOperators, keys_of
from rules.node import Node
from rules.numbers import is_number
from rules.problems import Problems


def read_pattern(node: Node, problems: Problems) -> Pattern:
    """The pattern that a value of the configuration stands for."""
    match node.value:
        case dict() as entries if are_operators(entries):
            return _operators(node, entries, problems)
        case dict() as entries:
            check_unmixed(entries, problems)
            return _fields(node, entries, problems, doubted=doubt_fields(entries, problems))
        case list() as items:
            return _alternatives(node, items, problems)
        case _:
            doubt_scalar(node, problems)
            return Equals(scalar_of(node), mark=node.mark)


def are_operators(entries: Mapping[str, Node]) -> bool:
    """Whether all keys of an object are operators: then it is no object of fields."""
    return bool(entries) and entries.keys() <= OPERATORS


def _fields(node: Node, entries: Mapping[str, Node], problems: Problems, doubted: Collection[str]) -> Pattern:
    fields = [
        (name, read_pattern(entry, Problems() if name in doubted else problems)) for name, entry in entries.items()
    ]
    return Fields(tuple(fields), mark=node.mark)


def _alternatives(node: Node, items: list[Node], problems: Problems) -> Pattern:
    if not items:
        problems.add(node, "an empty list matches nothing")
    if all(isinstance(item.value, str) for item in items):
        return OneText(tuple(map(scalar_of, items)), mark=node.mark)
    return OneOf(tuple(read_pattern(item, problems) for item in items), mark=node.mark)


def _operators(node: Node, entries: Mapping[str, Node], problems: Problems) -> Pattern:
    """Operators that look at one element stand together, so that the same element satisfies them all."""
    on_element: list[Pattern] = []
    on_whole: list[Pattern] = []
    for name, entry in entries.items():
        patterns = on_whole if name in _ON_WHOLE else on_element
        patterns.append(_READERS[name](name, entry, problems))
    if on_element:
        on_whole.append(Operators(tuple(on_element), mark=node.mark))
    doubt_bounds(dict(entries), problems)
    return on_whole[0] if len(on_whole) == 1 else AllOf(tuple(on_whole), mark=node.mark)


_ON_WHOLE = frozenset({"not", "exists", "any", "all"})
"""These look at an array as a whole; the others at one element, the same for all of them."""


def _comparison(name: str, node: Node, problems: Problems) -> Pattern:
    bound = node.value
    if isinstance(bound, str):
        doubt_number(node, problems)
    elif not is_number(bound):
        hint = "between: [10, 20] has two bounds" if isinstance(bound, list) and len(bound) == 2 else ""
        problems.add(node, "expected a number or a text to compare with", hint)
        return Nothing(mark=node.mark)
    return Compares(name, scalar_of(node), mark=node.mark)


def _between(name: str, node: Node, problems: Problems) -> Pattern:
    if not isinstance(node.value, list) or len(node.value) != 2:
        problems.add(node, "expected two bounds, both included", "between: [10, 20]")
        return Nothing(mark=node.mark)
    low, high = node.value
    match low.value, high.value:
        case (str(), int() | float()) | (int() | float(), str()):
            problems.add(node, "expected two numbers, or two texts")
        case (str() as first, str() as last) if first > last:
            problems.add(node, "nothing is between these: the first is above the second")
        case (int() | float(), int() | float()) if number_in(scalar_of(low))[0] > number_in(scalar_of(high))[0]:
            problems.add(node, "nothing is between these: the first is above the second")
    bounds = [_comparison("gte", bound, problems) for bound in (low, high)]
    if any(isinstance(bound, Nothing) for bound in bounds):
        return Nothing(mark=node.mark)
    return Between(name, scalar_of(low), scalar_of(high), mark=node.mark)


def _textual(name: str, node: Node, problems: Problems, *, folds: bool = False) -> Pattern:
    texts = []
    for item in node.value if isinstance(node.value, list) else [node]:
        if not isinstance(item.value, str):
            problems.add(item, "expected a text, or a list of texts", textual_cure(node, item))
            continue
        try:
            TEXT_OPERANDS[name](item.value)
        except ValueError as error:
            problems.add(item, str(error))
        else:
            texts.append(scalar_of(item))
    return Textual(name, tuple(texts), folds, mark=node.mark)


def _ignore_case(name: str, node: Node, problems: Problems) -> Pattern:
    """Equality but for case, or the operators on text that may stand in `ignore_case`."""
    match node.value:
        case list() as items if any(isinstance(item.value, dict) for item in items):
            patterns = tuple(_ignoring_case(item, problems) for item in items)
            return Nested(name, OneOf(patterns, mark=node.mark), mark=node.mark)
        case dict():
            return Nested(name, _ignoring_case(node, problems), mark=node.mark)
        case []:
            problems.add(node, "an empty list matches nothing")
    return _textual(name, node, problems, folds=True)


def _ignoring_case(node: Node, problems: Problems) -> Pattern:
    match node.value:
        case dict() as entries if entries and entries.keys() <= _FOLDABLE:
            tests = [_textual(inner, entry, problems, folds=True) for inner, entry in entries.items()]
            return AllOf(tuple(tests), mark=node.mark)
        case dict() as entries:
            strange = next((inner for inner in entries if inner not in _FOLDABLE), "")
            hint = f"write {{ {strange}: {{ ignore_case: … }} }}" if strange in _ON_WHOLE - {"exists"} else ""
            problems.add(node, f"expected a text, a list of texts, or one of {', '.join(_FOLDABLE)}", hint)
            return Nothing(mark=node.mark)
    return _textual("ignore_case", node, problems, folds=True)


_FOLDABLE = dict.fromkeys(keys_of(FoldedOperators)).keys()
"""The operators that `ignore_case` may hold."""


def _not(name: str, node: Node, problems: Problems) -> Pattern:
    return NotMatching(name, read_pattern(node, problems), mark=node.mark)


def _exists(name: str, node: Node, problems: Problems) -> Pattern:
    if not isinstance(node.value, bool):
        problems.add(node, "expected true or false")
    return Exists(name, node.value is True, mark=node.mark)


def _any(name: str, node: Node, problems: Problems) -> Pattern:
    return Nested(name, read_pattern(node, problems), mark=node.mark)


def _all(name: str, node: Node, problems: Problems) -> Pattern:
    return EveryElement(name, read_pattern(node, problems), mark=node.mark)


_READERS: Mapping[str, Callable[[str, Node, Problems], Pattern]] = {
    **dict.fromkeys(COMPARISONS, _comparison),
    **dict.fromkeys(("prefix", "suffix", "glob", "cidr"), _textual),
    "ignore_case": _ignore_case,
    "between": _between,
    "not": _not,
    "exists": _exists,
    "any": _any,
    "all": _all,
}
assert _READERS.keys() == OPERATORS
