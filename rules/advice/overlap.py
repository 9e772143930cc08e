"""Whether two patterns can match the same value, as far as their constants, bounds and texts say so.

Two constants at one place exclude each other. An array could hold both; where a rule names a constant, a value is meant.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rules.advice.reach import makes
from rules.errors import TypeClashError
from rules.event import MISSING
from rules.match.operators import AllOf, Between, Compares, Exists, NotMatching, Textual
from rules.match.patterns import Match
from rules.match.tree import Equals, Fields, OneOf, OneText, Pattern, Scalar
from rules.render import Text


def exclude(one: Match, other: Match) -> bool:
    """Whether no event can match both."""
    asked = dict(other.attributes)
    return any(name in asked and _exclude(pattern, asked[name]) for name, pattern in one.attributes)


def can_make(attributes: Mapping[str, Text], match: Match) -> bool:
    """Whether texts that make attributes of an event can make what a rule's `match` asks of them."""
    return all(_can_make(attributes[name], pattern) for name, pattern in match.attributes if name in attributes)


def _can_make(made: Text, pattern: Pattern) -> bool:
    if made.constant is not None:
        return _matches(pattern, made.constant or MISSING)
    constants = _constants_of(pattern)
    return constants is None or any(value is MISSING or makes(made, str(value)) for value in constants)


def _constants_of(pattern: Pattern) -> Sequence[Any] | None:
    """The only values that a pattern can match, MISSING among them; None where they are not listed."""
    match pattern:
        case Equals(constant=constant):
            return [constant.value]
        case OneText(texts=texts):
            return [text.value for text in texts]
        case Exists(expected=False):
            return [MISSING]
        case OneOf(patterns=patterns):
            listed = [_constants_of(each) for each in patterns]
            return None if None in listed else [value for each in listed for value in each or ()]
    return None


def _matches(pattern: Pattern, value: Any) -> bool:
    """Whether a pattern matches a value; of a value of another kind than it compares, it does not."""
    try:
        return pattern.test(value)
    except TypeClashError:
        return False


def _exclude(one: Pattern, other: Pattern) -> bool:
    for pattern, against in ((one, other), (other, one)):
        constants = _constants_of(pattern)
        if constants is not None:
            return not any(_matches(against, value) for value in constants)
    match one, other:
        case (NotMatching(pattern=unwanted), wanted) | (wanted, NotMatching(pattern=unwanted)) if unwanted == wanted:
            return True
        case (OneOf(patterns=choices), against) | (against, OneOf(patterns=choices)):
            return all(_exclude(choice, against) for choice in choices)
        case (AllOf(patterns=parts), against) | (against, AllOf(patterns=parts)):
            return any(_exclude(part, against) for part in parts)
        case Fields(entries=entries), Fields(entries=asked):
            fields = dict(asked)
            return any(name in fields and _exclude(entry, fields[name]) for name, entry in entries)
        case Textual(name="prefix" | "suffix" as end, folds=False), Textual(folds=False) if other.name == end:
            return not any(_share_an_end(end, first, second) for first in one.texts for second in other.texts)
    return any(_is_below(high, low) for high in _bounds(one) for low in _bounds(other)) or any(
        _is_below(high, low) for high in _bounds(other) for low in _bounds(one)
    )


def _share_an_end(end: str, first: Scalar, second: Scalar) -> bool:
    step = 1 if end == "prefix" else -1
    return all(a == b for a, b in zip(first.value[::step], second.value[::step], strict=False))


_Bound = tuple[str, Any]
"""The name of a comparison, and what a value is compared with."""


def _bounds(pattern: Pattern) -> Iterable[_Bound]:
    match pattern:
        case Compares(name=name, bound=bound):
            return [(name, bound.value)]
        case Between(low=low, high=high):
            return [("gte", low.value), ("lte", high.value)]
    return []


def _is_below(high: _Bound, low: _Bound) -> bool:
    """Whether all values up to a high bound are below those from a low one."""
    (upper, highest), (lower, lowest) = high, low
    if upper not in ("lt", "lte") or lower not in ("gt", "gte") or isinstance(highest, str) != isinstance(lowest, str):
        return False
    return bool(highest < lowest or (highest == lowest and (upper, lower) != ("lte", "gte")))
