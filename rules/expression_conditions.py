"""Conditions as trees: `and`, `or`, `not`, comparisons and tests; see `expression_tree`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rules.expression_tree import AND, COMPARISON, FILTER, NOT, OR, SUM, TEST, Listed, Tree


@dataclass(frozen=True, slots=True)
class And(Tree):
    """Conditions that all have to be true: the first that is not, else the last."""

    conditions: tuple[Tree, ...]

    level = AND
    joins = True

    def __str__(self) -> str:
        return " and ".join(condition.within(NOT) for condition in self.conditions)

    def evaluate(self, scope: Any) -> Any:
        value: Any = True
        for condition in self.conditions:
            value = condition.evaluate(scope)
            if not value:
                break
        return value

    def find(self, scope: Any) -> Any:
        *others, last = self.conditions
        for condition in others:
            value = condition.evaluate(scope)
            if not value:
                return value
        return last.find(scope)

    def operands(self) -> tuple[Tree, ...]:
        return self.conditions

    def asked(self, scope: Any, *, lenient: bool) -> Iterator[tuple[Tree, bool]]:
        *others, last = self.conditions
        for condition in others:
            yield condition, False
            if not condition.evaluate(scope):
                return
        yield last, lenient

    def sides(self) -> tuple[Tree, ...]:
        return tuple(side for condition in self.conditions for side in condition.sides())

    def decisive(self, scope: Any, wanted: bool = True) -> tuple[Tree, bool]:
        if not wanted:
            return self, wanted
        return next(one for one in self.conditions if not one.evaluate(scope)).decisive(scope, wanted)


@dataclass(frozen=True, slots=True)
class Or(Tree):
    """Conditions of which one has to be true: the first that is, else the last."""

    conditions: tuple[Tree, ...]

    level = OR
    joins = True

    def __str__(self) -> str:
        return " or ".join(condition.within(AND) for condition in self.conditions)

    def evaluate(self, scope: Any) -> Any:
        value: Any = False
        for condition in self.conditions:
            value = condition.evaluate(scope)
            if value:
                break
        return value

    def find(self, scope: Any) -> Any:
        *others, last = self.conditions
        for condition in others:
            value = condition.evaluate(scope)
            if value:
                return value
        return last.find(scope)

    def operands(self) -> tuple[Tree, ...]:
        return self.conditions

    def asked(self, scope: Any, *, lenient: bool) -> Iterator[tuple[Tree, bool]]:
        *others, last = self.conditions
        for condition in others:
            yield condition, False
            if condition.evaluate(scope):
                return
        yield last, lenient

    def sides(self) -> tuple[Tree, ...]:
        return tuple(side for condition in self.conditions for side in condition.sides())

    def decisive(self, scope: Any, wanted: bool = True) -> tuple[Tree, bool]:
        if wanted:
            return self, wanted  # each of them could have been true
        return next(one for one in self.conditions if one.evaluate(scope)).decisive(scope, wanted)


@dataclass(frozen=True, slots=True)
class Not(Tree):
    """The contrary of a condition."""

    condition: Tree

    level = NOT
    joins = True

    def __str__(self) -> str:
        if isinstance(self.condition, Tested):
            return self.condition.spelled("is not")
        return f"not {self.condition.within(NOT)}"

    def evaluate(self, scope: Any) -> bool:
        return not self.condition.evaluate(scope)

    def operands(self) -> tuple[Tree, ...]:
        return (self.condition,)

    def sides(self) -> tuple[Tree, ...]:
        return self.condition.sides()

    def decisive(self, scope: Any, wanted: bool = True) -> tuple[Tree, bool]:
        inner, wanted_inside = self.condition.decisive(scope, not wanted)
        return (self, wanted) if inner is self.condition else (inner, wanted_inside)


@dataclass(frozen=True, slots=True)
class Sign:
    """An operator: as it is written, and what it does with values."""

    written: str
    apply: Callable[..., Any] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Comparison(Tree):
    """One comparison, or several in a row: `a < b < c` is `a < b and b < c`."""

    first: Tree
    steps: tuple[tuple[Sign, Tree], ...]

    level = COMPARISON

    def __str__(self) -> str:
        others = (f"{sign.written} {right.within(SUM)}" for sign, right in self.steps)
        return " ".join((self.first.within(SUM), *others))

    def evaluate(self, scope: Any) -> bool:
        left = self.first.evaluate(scope)
        for sign, tree in self.steps:
            right = tree.evaluate(scope)
            if not sign.apply(left, right):
                return False
            left = right
        return True

    def operands(self) -> tuple[Tree, ...]:
        return (self.first, *(right for _, right in self.steps))

    def sides(self) -> tuple[Tree, ...]:
        return self.operands()

    def decisive(self, scope: Any, wanted: bool = True) -> tuple[Tree, bool]:
        if not wanted or len(self.steps) == 1:
            return self, wanted
        return next(pair for pair in self._pairs() if not pair.evaluate(scope)), wanted

    def unanswered(self, scope: Any, *, lenient: bool = False) -> Tree:
        if len(self.steps) == 1:
            return Tree.unanswered(self, scope, lenient=lenient)
        return And(tuple(self._pairs())).unanswered(scope)

    def _pairs(self) -> "Iterator[Comparison]":
        left = self.first
        for sign, right in self.steps:
            yield Comparison(left, ((sign, right),), offset=left.offset)
            left = right


@dataclass(frozen=True, slots=True)
class Tested(Tree):
    """A value that is put to a test, with or without an argument: `x is defined`, `x is in [1, 2]`."""

    test: Sign
    operand: Tree
    argument: Tree | None
    takes_missing: bool = field(init=False, compare=False, repr=False)

    level = TEST

    def __post_init__(self) -> None:
        object.__setattr__(self, "takes_missing", self.test.written in ("defined", "undefined"))

    def __str__(self) -> str:
        return self.spelled("is")

    def spelled(self, verb: str) -> str:
        """As a rule has it, with `is` or `is not`."""
        asked = f"{self.operand.within(FILTER)} {verb} {self.test.written}"
        if self.argument is None:
            return asked
        return f"{asked} {self.argument}" if isinstance(self.argument, Listed) else f"{asked}({self.argument})"

    def evaluate(self, scope: Any) -> bool:
        value = self.operand.find(scope) if self.takes_missing else self.operand.evaluate(scope)
        if self.argument is None:
            return bool(self.test.apply(value))
        return bool(self.test.apply(value, self.argument.evaluate(scope)))

    def operands(self) -> tuple[Tree, ...]:
        return (self.operand,) if self.argument is None else (self.operand, self.argument)

    def asked(self, scope: Any, *, lenient: bool) -> Iterator[tuple[Tree, bool]]:
        yield self.operand, self.takes_missing
        if self.argument is not None:
            yield self.argument, False

    def sides(self) -> tuple[Tree, ...]:
        return self.operands()
