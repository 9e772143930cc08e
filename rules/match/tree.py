"""A pattern as data: a frozen tree that is compared by value, printed, tested and explained.

Each pattern compiles its `test` once, out of those below it, and equal patterns share one. An array
matches when one of its elements does, and then that same element satisfies everything said of it. A comparison between
kinds, such as text with `gte: 100`, is neither true nor false: where nothing else decides, it is an error. So the order
of keys and elements never matters.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
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
from rules.match.logic import Test, all_of, any_of, on_elements, single_or_all, test_at
from rules.node import Mark, Node

Shape = tuple[Any, ...]
"""What patterns have in common that differ in their constants alone: their class, and what `compiled` is given."""

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
        return test_at(self.path, self.pattern.shaped, self.pattern.constants, value)


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is asked of a value; `mark` is where that stands. Two patterns are equal when they ask the same."""

    mark: Mark = field(compare=False, repr=False, kw_only=True)

    opens_arrays: ClassVar[bool] = False
    """Whether an array is asked for one element that matches, and not itself."""

    def __str__(self) -> str:
        raise NotImplementedError

    @property
    def shape(self) -> Shape:
        """See `Shape`."""
        return (type(self),)

    @property
    def constants(self) -> Any:
        """What the test of this shape is given with each value."""
        return None

    @property
    def shaped(self) -> Test:
        """The test of this shape: it is one for all patterns that have it."""
        return test_of(self.shape)

    def test(self, value: Any) -> bool:
        """Whether a value, or MISSING, matches. Raises: TypeClashError."""
        return self.shaped(self.constants, value)

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

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        """The test of a value that is no array, where the pattern opens arrays; else of any value."""
        raise NotImplementedError

    @classmethod
    def direct(cls, test: Test, *shape: Any) -> Test:
        """The test with a shorter way for the usual kind of value, where the pattern opens arrays."""
        return test

    def without(self, clause: Clause, path: Path) -> "Pattern | None":
        """What is left to ask of the value at `path` where a single value is known to meet a clause; None: nothing."""
        return None if self.asked(path) == Asked((clause,), whole=True) else self

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


@lru_cache(maxsize=4096)
def test_of(shape: Shape) -> Test:
    """The test of all patterns of a shape."""
    of_class, *own = shape
    test = of_class.compiled(*own)
    if not of_class.opens_arrays:
        return test  # type: ignore[no-any-return]
    return on_elements(test, lambda others: of_class.direct(others, *own))


def first_failed(explained: Iterable[FailedCondition | None], *, is_error: bool) -> FailedCondition | None:
    """The first condition that says no or, if `is_error`, the first without an answer."""
    return next((one for one in explained if one is not None and bool(one.error) is is_error), None)


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
    """The constant that a node is. A text that many rules name is kept once: so it takes less memory, and is in the
    processor's cache when a rule compares with it.
    """
    if type(node.value) is not str:
        return Scalar(node.value, node.text, node.written)
    value = sys.intern(node.value)
    return Scalar(value, *(value if text == value else text for text in (node.text, node.written)))


@lru_cache(maxsize=4096)
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

    @property
    def shape(self) -> Shape:
        match self.constant.value:
            case str():
                return Equals, _equal_text
            case bool() | None:
                return Equals, _same
        return Equals, _equal_digits if number_in(self.constant)[1] is None else _equal_number

    @property
    def constants(self) -> Any:
        value = self.constant.value
        return value if isinstance(value, str | bool | None) else number_in(self.constant)

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        [test] = shape
        return test  # type: ignore[no-any-return]

    @classmethod
    def direct(cls, test: Test, *shape: Any) -> Test:
        if shape == (_equal_text,):
            return lambda text, value: value == text if type(value) is str else test(text, value)
        return test

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


def _equal_text(text: str, value: Any) -> bool:
    return isinstance(value, str) and value == text


def _same(constant: bool | None, value: Any) -> bool:
    return value is constant


def _equal_number(number: tuple[Any, Any], value: Any) -> bool:
    exact, near = number
    return bool(value == near) if type(value) is float else numbers.equal(value, exact)


def _equal_digits(number: tuple[Any, Any], value: Any) -> bool:
    return numbers.equal(value, number[0])


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

    @property
    def constants(self) -> frozenset[str]:
        return _values_of(self.texts)

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        return lambda texts, value: isinstance(value, str) and value in texts

    @classmethod
    def direct(cls, test: Test, *shape: Any) -> Test:
        return lambda texts, value: value in texts if type(value) is str else test(texts, value)


@lru_cache(maxsize=4096)
def _values_of(texts: tuple[Scalar, ...]) -> frozenset[str]:
    """One set for all rules that name the same texts."""
    return frozenset(text.value for text in texts)


@dataclass(frozen=True, slots=True)
class OneOf(Pattern):
    """A value that matches one of several patterns."""

    patterns: tuple[Pattern, ...]

    def __str__(self) -> str:
        return listed(self.patterns)

    @property
    def shape(self) -> Shape:
        return OneOf, *(pattern.shape for pattern in self.patterns)

    @property
    def constants(self) -> tuple[Any, ...]:
        return tuple(pattern.constants for pattern in self.patterns)

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        tests = [test_of(inner) for inner in shape]
        return lambda constants, value: any_of((test, own, value) for test, own in zip(tests, constants, strict=True))

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

    @property
    def shape(self) -> Shape:
        return Fields, *((name, pattern.shape) for name, pattern in self.entries)

    @property
    def constants(self) -> Any:
        return single_or_all([pattern.constants for _, pattern in self.entries]) if self.entries else None

    @classmethod
    def compiled(cls, *shape: Any) -> Test:
        fields = [(name, test_of(inner)) for name, inner in shape]

        def test(constants: Any, value: Any) -> bool:
            own = [constants] if len(fields) == 1 else constants or ()
            if isinstance(value, Mapping):
                return all_of(
                    (inner, each, value.get(name, MISSING)) for (name, inner), each in zip(fields, own, strict=True)
                )
            if isinstance(value, Opaque):
                raise TypeClashError(f"{value.kind} is not read")
            return bool(fields) and all_of((inner, each, MISSING) for (_, inner), each in zip(fields, own, strict=True))

        return test

    @classmethod
    def direct(cls, test: Test, *shape: Any) -> Test:
        fields = [(name, test_of(inner)) for name, inner in shape]
        if len(fields) == 1:
            [(only, inner)] = fields
            return lambda own, value: inner(own, value.get(only, MISSING)) if type(value) is dict else test(own, value)

        def test_object(constants: Any, value: Any) -> bool:
            if type(value) is not dict:
                return test(constants, value)
            read = value.get
            at = 0
            try:
                for name, inner in fields:
                    if not inner(constants[at], read(name, MISSING)):
                        return False
                    at += 1
            except TypeClashError:  # one of the others may say no
                return test(constants, value)
            return True

        return test_object

    def without(self, clause: Clause, path: Path) -> Pattern | None:
        """A clause of one of the fields is asked inside of it."""
        depth = len(path)
        if clause.path[:depth] != path or len(clause.path) <= depth:
            return self
        left = [
            (name, pattern.without(clause, (*path, name)) if name == clause.path[depth] else pattern)
            for name, pattern in self.entries
        ]
        entries = tuple((name, pattern) for name, pattern in left if pattern is not None)
        return Fields(entries, mark=self.mark) if entries else None

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
