"""A pattern as data: a frozen tree that is compared by value, printed, tested and explained.

Each pattern compiles its `test` once, out of those below it, and equal patterns share one. An array
matches when one of its elements does, and then that same element satisfies everything said of it. A comparison between
kinds, such as text with `gte: 100`, is neither true nor false: where nothing else decides, it is an error. So the order
of keys and elements never matters.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any, ClassVar, NamedTuple

from rules import numbers
from rules.errors import TypeClashError
from rules.event import MISSING, Opaque
from rules.explain import FailedCondition, Place, Trail
from rules.match.clauses import Asked, Clause, Constant, Number, Path, Text, all_asked, one_asked
from rules.node import Mark, Node

Test = Callable[[Any], bool]
"""Whether a value, or MISSING, matches. Raises: TypeClashError."""

IGNORE_CASE = "\0ignore_case"
"""The end of a required path whose texts are case-folded: so are the texts of an event to be compared with them."""

Required = tuple[Path, tuple[str, ...]]
"""A path, and texts of which an event needs one there to match."""


class Leaf(NamedTuple):
    """A pattern with no smaller one in it that counts for itself; it is asked of the value at `path`, a path of fields.

    Of leaves of the same `choice`, which is the key of a list, one is enough.
    """

    place: Place
    path: Path
    pattern: "Pattern"
    choice: str

    def test(self, value: Any) -> bool:
        """Whether the pattern matches what the path leads to from `value`; of an array on the way, some element.

        Raises: TypeClashError.
        """
        return _test_at(value, self.path, self.pattern.test)


def _test_at(value: Any, path: Path, test: Test) -> bool:
    if not path:
        return test(value)
    if type(value) is list:
        return any_of((lambda element: _test_at(element, path, test), element) for element in value)
    inner = value.get(path[0], MISSING) if isinstance(value, Mapping) else MISSING
    return _test_at(inner, path[1:], test)


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is asked of a value; `mark` is where that stands. Two patterns are equal when they ask the same."""

    mark: Mark = field(compare=False, repr=False, kw_only=True)
    test: Test = field(init=False, compare=False, repr=False)

    opens_arrays: ClassVar[bool] = False
    """Whether an array is asked for one element that matches, and not itself."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "test", _test_of(self))

    def __str__(self) -> str:
        raise NotImplementedError

    def explain(self, value: Any, trail: Trail) -> FailedCondition | None:
        """The innermost condition that decides that a value, or MISSING, does not match; None for one that does."""
        error = ""
        try:
            if self.test(value):
                return None
        except TypeClashError as clash:
            error = str(clash)
        if self.opens_arrays and type(value) is list:
            inner = self._in_elements(value, trail, is_error=bool(error))
        else:
            inner = self._inside(value, trail, is_error=bool(error))
        if inner is not None:
            return inner
        own = self._own(trail)
        return FailedCondition(place=Place(own.key, self.mark), wanted=str(self), seen={own.path: value}, error=error)

    def required(self, path: Path) -> Iterator[Required]:
        """Texts of which an event needs one to match this pattern, which is asked of the value at `path`."""
        return iter(())

    def asked(self, path: Path) -> Asked:
        """What an index can use of this pattern, which is asked of the value at `path`; here: nothing."""
        return Asked()

    def leaves(self, trail: Trail, path: Path) -> Iterator[Leaf]:
        """The smallest patterns in this one that count for themselves; this one is asked of the value at `path`."""
        key = self._own(trail).key
        yield Leaf(Place(key, self.mark), path, self, choice=key)

    def compiled(self) -> Test:
        """The test of a value that is no array, where the pattern opens arrays; else of any value."""
        raise NotImplementedError

    def _own(self, trail: Trail) -> Trail:
        """The way to this pattern itself."""
        return trail

    def _inside(self, value: Any, trail: Trail, *, is_error: bool) -> FailedCondition | None:
        """A smaller condition that decides; None where this one is the smallest."""
        return None

    def _in_elements(self, value: list[Any], trail: Trail, *, is_error: bool) -> FailedCondition | None:
        """Of one element, or of one that is an error; of several that do not match, the whole array is to be seen."""
        if not is_error and len(value) != 1:
            return None
        return first_failed(
            (self.explain(element, trail.element(index)) for index, element in enumerate(value)), is_error=is_error
        )


@lru_cache(maxsize=1024)
def _test_of(pattern: Pattern) -> Test:
    """Rules ask the same again and again: the functions of a test take more memory than its pattern."""
    test = pattern.compiled()
    return on_elements(test) if pattern.opens_arrays else test


def on_elements(test: Test) -> Test:
    """The same test for an array: whether one of its elements passes."""

    def test_elements(value: Any) -> bool:
        if type(value) is not list:
            return test(value)
        return any_of((test_elements, element) for element in value)

    return test_elements


def all_of(questions: Iterable[tuple[Test, Any]]) -> bool:
    """Whether each test passes its value. Raises: TypeClashError."""
    return _decided(questions, by=False)


def _all_fields(fields: Sequence[tuple[str, Test]], holder: Mapping[str, Any]) -> bool:
    """`all_of` for the fields of an object: without a generator it takes half the time."""
    clash: TypeClashError | None = None
    for name, test in fields:
        try:
            if not test(holder.get(name, MISSING)):
                return False
        except TypeClashError as error:
            clash = clash or error
    if clash is not None:
        raise clash
    return True


def any_of(questions: Iterable[tuple[Test, Any]]) -> bool:
    """Whether some test passes its value. Raises: TypeClashError."""
    return _decided(questions, by=True)


def conjunction(tests: list[Test]) -> Test:
    """One test in place of several, all of which have to pass."""
    return tests[0] if len(tests) == 1 else lambda value: all_of((test, value) for test in tests)


def first_failed(explained: Iterable[FailedCondition | None], *, is_error: bool) -> FailedCondition | None:
    """The first condition that says no or, if `is_error`, the first without an answer."""
    return next((one for one in explained if one is not None and bool(one.error) is is_error), None)


def _decided(questions: Iterable[tuple[Test, Any]], *, by: bool) -> bool:
    """Kleene's three-valued logic: one answer `by` decides, clashes or not; else the first clash is the answer."""
    clash: TypeClashError | None = None
    for test, value in questions:
        try:
            if test(value) is by:
                return by
        except TypeClashError as error:
            clash = clash or error
    if clash is not None:
        raise clash
    return not by


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


@dataclass(frozen=True, slots=True)
class Scalar:
    """A constant of a pattern. `written` is its text before `${…}` was filled in, `text` the one after.

    `text` tells 1 from true, and 0.1 from a decimal that is the same float: they do not ask the same.
    """

    value: Any
    text: str = field(repr=False)
    written: str = field(compare=False, repr=False)

    def __str__(self) -> str:
        if not isinstance(self.value, str):
            return self.written or json.dumps(self.value)
        return json.dumps(
            self.written if self.written and self.text != self.written else self.value, ensure_ascii=False
        )


def scalar_of(node: Node) -> Scalar:
    """The constant that a node is."""
    return Scalar(node.value, node.text, node.written)


def number_in(scalar: Scalar) -> tuple[int | Decimal, int | float | None]:
    """The number as written (19.95, not the float nearest to it), and one that a float compares with directly.

    The direct comparison is the usual case and takes a tenth of the time. It says the same wherever the number is
    itself a float, or an integer that one holds.
    """
    value = scalar.value
    if isinstance(value, int):
        return value, value if abs(value) <= numbers.EXACT_FLOATS else None
    assert isinstance(value, float)
    if not value or not isfinite(value):  # an infinite one was reported as the file was read
        return 0, 0
    written = Decimal(scalar.text or repr(value))
    return written, value if numbers.exact(value) == written else None


@dataclass(frozen=True, slots=True)
class Equals(Pattern):
    """A value equal to a constant: text equals text only, and true is not 1."""

    constant: Scalar

    opens_arrays = True

    def __str__(self) -> str:
        return str(self.constant)

    def compiled(self) -> Test:
        match self.constant.value:
            case str() as text:
                return lambda value: isinstance(value, str) and value == text
            case int() | float() as number if numbers.is_number(number):
                return self._equal_number()
            case scalar:
                return lambda value: value is scalar

    def required(self, path: Path) -> Iterator[Required]:
        if isinstance(self.constant.value, str):
            yield path, (self.constant.value,)

    def asked(self, path: Path) -> Asked:
        match self.constant.value:
            case str() as text:
                return Asked((Clause(path, (Text(text),)),), whole=True)
            case bool() | None as value:
                return Asked((Clause(path, (Constant(value),)),), whole=True)
        exact, near = number_in(self.constant)
        return Asked() if near is None else Asked((Clause(path, (Number(exact, near),)),), whole=True)

    def _equal_number(self) -> Test:
        exact, near = number_in(self.constant)

        def test(value: Any) -> bool:
            return value == near if near is not None and type(value) is float else numbers.equal(value, exact)

        return test


@dataclass(frozen=True, slots=True)
class OneText(Pattern):
    """A text that is one of several."""

    texts: tuple[Scalar, ...]

    opens_arrays = True

    def __str__(self) -> str:
        return listed(self.texts)

    def required(self, path: Path) -> Iterator[Required]:
        if self.texts:
            yield path, tuple(text.value for text in self.texts)

    def asked(self, path: Path) -> Asked:
        return Asked((Clause(path, tuple(Text(text.value) for text in self.texts)),), whole=True)

    def compiled(self) -> Test:
        texts = frozenset(text.value for text in self.texts)
        return lambda value: isinstance(value, str) and value in texts


@dataclass(frozen=True, slots=True)
class OneOf(Pattern):
    """A value that matches one of several patterns."""

    patterns: tuple[Pattern, ...]

    def __str__(self) -> str:
        return listed(self.patterns)

    def compiled(self) -> Test:
        tests = [pattern.test for pattern in self.patterns]
        return lambda value: any_of((test, value) for test in tests)

    def asked(self, path: Path) -> Asked:
        return one_asked([pattern.asked(path) for pattern in self.patterns], path)

    def leaves(self, trail: Trail, path: Path) -> Iterator[Leaf]:
        for index, pattern in enumerate(self.patterns):
            yield from (leaf._replace(choice=trail.key) for leaf in pattern.leaves(trail.choice(index), path))

    def _inside(self, value: Any, trail: Trail, *, is_error: bool) -> FailedCondition | None:
        """Of several that say no each is wanted as much as the others."""
        if not is_error and len(self.patterns) != 1:
            return None
        return first_failed(
            (pattern.explain(value, trail.choice(index)) for index, pattern in enumerate(self.patterns)),
            is_error=is_error,
        )


@dataclass(frozen=True, slots=True)
class Fields(Pattern):
    """An object with these fields, all of them."""

    entries: tuple[tuple[str, Pattern], ...]

    opens_arrays = True

    def __str__(self) -> str:
        inner = ", ".join(f"{name}: {pattern}" for name, pattern in self.entries)
        return f"{{ {inner} }}" if inner else "{}"

    def required(self, path: Path) -> Iterator[Required]:
        for name, pattern in self.entries:
            yield from pattern.required((*path, name))

    def asked(self, path: Path) -> Asked:
        inner = all_asked([pattern.asked((*path, name)) for name, pattern in self.entries])
        return inner if self.entries else Asked()

    def leaves(self, trail: Trail, path: Path) -> Iterator[Leaf]:
        if not self.entries:
            yield from Pattern.leaves(self, trail, path)
        for name, pattern in self.entries:
            yield from pattern.leaves(trail.field(name), (*path, name))

    def compiled(self) -> Test:
        fields = [(name, pattern.test) for name, pattern in self.entries]

        def test(value: Any) -> bool:
            if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101 - dict first is five times as fast
                return _all_fields(fields, value)
            if isinstance(value, Opaque):
                raise TypeClashError(f"{value.kind} is not read")
            return bool(fields) and all_of((field_test, MISSING) for _, field_test in fields)

        return test

    def _inside(self, value: Any, trail: Trail, *, is_error: bool) -> FailedCondition | None:
        if isinstance(value, Opaque):
            return None
        holder = value if isinstance(value, Mapping) else {}
        return first_failed(
            (pattern.explain(holder.get(name, MISSING), trail.field(name)) for name, pattern in self.entries),
            is_error=is_error,
        )


def listed(items: Iterable[object]) -> str:
    """Constants or patterns as a list of YAML."""
    return f"[{', '.join(map(str, items))}]"
