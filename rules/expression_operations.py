"""What makes other values, as trees: arithmetic, filters, `a if b else c`, and the tables of operators."""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rules import numbers
from rules.event import MISSING
from rules.expression_conditions import Sign
from rules.expression_tree import COMPARISON, CONDITIONAL, FILTER, OR, PRODUCT, SIGN, SUM, Constant, Tree, present
from rules.filters import FILTERS, is_absent
from rules.localised import money


@dataclass(frozen=True, slots=True)
class Arithmetic(Tree):
    """A sum, a difference, a product, a quotient or what is left of one."""

    sign: Sign
    left: Tree
    right: Tree

    def __str__(self) -> str:
        return f"{self.left.within(self._level)} {self.sign.written} {self.right.within(self._level + 1)}"

    def within(self, level: int) -> str:
        return str(self) if self._level >= level else f"({self})"

    @property
    def _level(self) -> int:
        return SUM if self.sign.written in "+-" else PRODUCT

    def evaluate(self, scope: Any) -> Any:
        return self.sign.apply(self.left.evaluate(scope), self.right.evaluate(scope))

    def operands(self) -> tuple[Tree, ...]:
        return self.left, self.right


@dataclass(frozen=True, slots=True)
class Signed(Tree):
    """A number with a sign before it."""

    sign: Sign
    operand: Tree

    level = SIGN

    def __str__(self) -> str:
        return f"{self.sign.written}{self.operand.within(SIGN)}"

    def evaluate(self, scope: Any) -> Any:
        return self.sign.apply(self.operand.evaluate(scope))

    def operands(self) -> tuple[Tree, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Filtered(Tree):
    """A value that goes through the filter `name`, with constants by position or, where there is a keyword, by that."""

    name: str
    operand: Tree
    arguments: tuple[tuple[str, Constant], ...]
    apply: Callable[[Any], Any] = field(init=False, compare=False, repr=False)

    level = FILTER

    def __post_init__(self) -> None:
        object.__setattr__(self, "apply", self._applied())

    def _applied(self) -> Callable[[Any], Any]:
        function = FILTERS[self.name]
        values = [constant.value for keyword, constant in self.arguments if not keyword]
        keywords = {keyword: constant.value for keyword, constant in self.arguments if keyword}
        return (lambda value: function(value, *values, **keywords)) if self.arguments else function

    def __str__(self) -> str:
        written = [f"{keyword}={value}" if keyword else str(value) for keyword, value in self.arguments]
        return f"{self.operand.within(FILTER)} | {self.name}" + (f"({', '.join(written)})" if written else "")

    def evaluate(self, scope: Any) -> Any:
        return present(self.apply(self.operand.evaluate(scope)))

    def find(self, scope: Any) -> Any:
        return self.apply(self.operand.evaluate(scope))

    def operands(self) -> tuple[Tree, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Default(Tree):
    """The filter `default`, whose fallback is read only when it is needed: it may be missing itself."""

    operand: Tree
    fallback: Tree
    boolean: Tree

    level = FILTER

    def __str__(self) -> str:
        return f"{self.operand.within(FILTER)} | default({self.fallback}{self._boolean_spelled()})"

    def _boolean_spelled(self) -> str:
        return "" if self.boolean == NO_BOOLEAN else f", {self.boolean}"

    def evaluate(self, scope: Any) -> Any:
        value = self.operand.find(scope)
        return self.fallback.evaluate(scope) if is_absent(value, self.boolean.evaluate(scope)) else value

    def find(self, scope: Any) -> Any:
        value = self.operand.find(scope)
        return self.fallback.find(scope) if is_absent(value, self.boolean.evaluate(scope)) else value

    def operands(self) -> tuple[Tree, ...]:
        return self.operand, self.fallback, self.boolean

    def asked(self, scope: Any, *, lenient: bool) -> Iterator[tuple[Tree, bool]]:
        yield self.operand, True
        yield self.boolean, False
        if is_absent(self.operand.find(scope), self.boolean.evaluate(scope)):
            yield self.fallback, lenient


@dataclass(frozen=True, slots=True)
class Money(Tree):
    """The filter `money`, whose currency may come with the event, as its amount does."""

    operand: Tree
    currency: Tree
    locale: Constant | None

    level = FILTER

    def __str__(self) -> str:
        locale = f", {self.locale}" if self.locale else ""
        return f"{self.operand.within(FILTER)} | money({self.currency}{locale})"

    def evaluate(self, scope: Any) -> Any:
        locale = (self.locale.value,) if self.locale else ()
        return money(self.operand.evaluate(scope), self.currency.evaluate(scope), *locale)

    def operands(self) -> tuple[Tree, ...]:
        return self.operand, self.currency


NO_FALLBACK, NO_BOOLEAN = Constant("''", ""), Constant("false", False)
"""What `default` has for its arguments unless they are given."""


@dataclass(frozen=True, slots=True)
class Conditional(Tree):
    """`a if test else b`; without an else its value may be missing."""

    test: Tree
    chosen: Tree
    other: Tree | None

    level = CONDITIONAL

    def __str__(self) -> str:
        otherwise = "" if self.other is None else f" else {self.other}"
        return f"{self.chosen.within(COMPARISON)} if {self.test.within(OR)}{otherwise}"

    def evaluate(self, scope: Any) -> Any:
        branch = self._branch(scope)
        return present(MISSING) if branch is None else branch.evaluate(scope)

    def find(self, scope: Any) -> Any:
        branch = self._branch(scope)
        return MISSING if branch is None else branch.find(scope)

    def _branch(self, scope: Any) -> Tree | None:
        return self.chosen if self.test.evaluate(scope) else self.other

    def operands(self) -> tuple[Tree, ...]:
        return (self.chosen, self.test) if self.other is None else (self.chosen, self.test, self.other)

    def asked(self, scope: Any, *, lenient: bool) -> Iterator[tuple[Tree, bool]]:
        yield self.test, False
        branch = self._branch(scope)
        if branch is not None:
            yield branch, lenient


def _in(item: Any, container: Any) -> bool:
    return numbers.contains(container, item)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: numbers.ordered(compare, left, right)


COMPARISONS: Mapping[str, Sign] = {
    "eq": Sign("==", numbers.equal),
    "ne": Sign("!=", lambda left, right: not numbers.equal(left, right)),
    "gt": Sign(">", _ordered(operator.gt)),
    "gteq": Sign(">=", _ordered(operator.ge)),
    "lt": Sign("<", _ordered(operator.lt)),
    "lteq": Sign("<=", _ordered(operator.le)),
    "in": Sign("in", _in),
    "notin": Sign("not in", lambda item, container: not _in(item, container)),
}
"""By the names that Jinja's grammar has for them."""

ORDERS = frozenset(COMPARISONS[name] for name in ("gt", "gteq", "lt", "lteq"))

CALCULATIONS: Mapping[str, Sign] = {
    sign.written: sign
    for sign in (
        Sign("+", numbers.add),
        Sign("-", numbers.subtract),
        Sign("*", numbers.multiply),
        Sign("/", numbers.divide),
        Sign("//", numbers.floor_divide),
        Sign("%", numbers.modulo),
    )
}
SIGNS: Mapping[str, Sign] = {"-": Sign("-", numbers.negative), "+": Sign("+", numbers.positive)}

COMPARING_TESTS: Mapping[str, Sign] = {name: Sign(name, COMPARISONS[name].apply) for name in ("in", "eq", "ne")}
"""Tests with one argument: `x is in [1, 2]`."""

TESTS: Mapping[str, Sign] = {
    name: Sign(name, test)
    for name, test in {
        "defined": lambda value: value is not MISSING,
        "undefined": lambda value: value is MISSING,
        "none": lambda value: value is None,
        "string": lambda value: isinstance(value, str),
        "number": numbers.is_number,
        "boolean": lambda value: isinstance(value, bool),
        "mapping": lambda value: isinstance(value, Mapping),
        "sequence": lambda value: isinstance(value, str | list | Mapping),
    }.items()
}
"""Tests without an argument."""
