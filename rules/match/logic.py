"""Tests of patterns, and how several answers become one: Kleene's three-valued logic, with a TypeClashError for no answer.

A test is made once for all patterns of one shape, and given the constants of one of them with each value. Ten thousand
rules so share the functions of a few shapes, and their own part of a test is small.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any

from rules.errors import TypeClashError
from rules.event import MISSING, Opaque

Test = Callable[[Any, Any], bool]
"""Whether, with the constants of a pattern, a value or MISSING matches. Raises: TypeClashError."""

Question = tuple[Test, Any, Any]
"""A test, its constants, and the value that is asked."""


def all_of(questions: Iterable[Question]) -> bool:
    """Whether each test passes its value. Raises: TypeClashError."""
    return _decided(questions, by=False)


def any_of(questions: Iterable[Question]) -> bool:
    """Whether some test passes its value. Raises: TypeClashError."""
    return _decided(questions, by=True)


def _decided(questions: Iterable[Question], *, by: bool) -> bool:
    """One answer `by` decides, clashes or not; else the first clash is the answer."""
    clash: TypeClashError | None = None
    for test, constants, value in questions:
        try:
            if test(constants, value) is by:
                return by
        except TypeClashError as error:
            clash = clash or error
    if clash is not None:
        raise clash
    return not by


def conjunction(tests: Sequence[Test]) -> Test:
    """One test in place of several, all of which have to pass; its constants are theirs, or those of a single one."""
    if len(tests) == 1:
        return tests[0]

    def test_each(constants: Sequence[Any], value: Any) -> bool:
        try:
            for test, own in zip(tests, constants, strict=True):
                if not test(own, value):
                    return False
        except TypeClashError:  # one of the others may say no
            return all_of((test, own, value) for test, own in zip(tests, constants, strict=True))
        return True

    return test_each


def single_or_all(constants: Sequence[Any]) -> Any:
    """The constants of a `conjunction`."""
    return constants[0] if len(constants) == 1 else tuple(constants)


def on_elements(test: Test, shorter: Callable[[Test], Test]) -> Test:
    """The same test for an array, whether one of its elements passes; `shorter` knows a shorter way for the usual kind."""

    def test_others(constants: Any, value: Any) -> bool:
        if type(value) is not list:
            return test(constants, value)
        try:
            for element in value:
                if test_elements(constants, element):
                    return True
        except TypeClashError:  # one of the others may say yes
            return any_of((test_elements, constants, element) for element in value)
        return False

    test_elements = shorter(test_others)
    return test_elements


def test_at(path: Sequence[str], test: Test, constants: Any, value: Any) -> bool:
    """What a test says of the value that a path of fields leads to; of an array on the way, of some element."""
    if not path:
        return test(constants, value)
    if type(value) is list:
        return any_of((lambda own, element: test_at(path, test, own, element), constants, one) for one in value)
    inner = value.get(path[0], MISSING) if isinstance(value, Mapping) else MISSING
    return test_at(path[1:], test, constants, inner)


def clash(value: Any, expected: str) -> bool:
    """The answer where a value is not of the kind an operator compares: no for no value, else none at all.

    Raises: TypeClashError.
    """
    if value is MISSING or value is None:
        return False
    raise TypeClashError(f"expected {expected}, found {_kind(value)}")


def _kind(value: Any) -> str:
    """What a value is, in the words of JSON."""
    match value:
        case bool():
            return "true or false"
        case str():
            return "text"
        case int() | Decimal():
            return "a number"
        case float():
            return "a number" if isfinite(value) else "no finite number"
        case list():
            return "a list"
        case Mapping():
            return "an object"
        case Opaque():
            return value.kind
    return "no value of JSON"
