"""An expression as data: a frozen tree that is compared by value, spelled as a rule would, evaluated and explained.

A tree reads fields of plain data and can do nothing else. Two trees are equal when they say the same, wherever they
stand; `offset` is where one begins in the text that it was read from, counted from 0. What `str` gives of a tree is read
as an equal one.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import reduce
from typing import Any, ClassVar

from rules import numbers
from rules.errors import MissingValueError, RenderError
from rules.event import MISSING, Opaque
from rules.explain import step_to
from rules.filters import FILTERS, is_absent
from rules.localised import money

Names = Mapping[str, Callable[[Any], Any]]
"""What an expression may name, and how each is read from the thing it is evaluated on."""

_CONDITIONAL, _OR, _AND, _NOT, _TEST, _COMPARISON, _SUM, _PRODUCT, _FILTER, _SIGN, _OPERAND = range(11)
"""How closely a tree holds its operands together, least first: what holds less is put in parentheses."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What gives a value for an event, or for whatever else has the names that it reads."""

    offset: int = field(default=0, compare=False, repr=False, kw_only=True)

    level: ClassVar[int] = _OPERAND
    joins: ClassVar[bool] = False
    """Whether the operands are conditions themselves."""

    def __str__(self) -> str:
        raise NotImplementedError

    def evaluate(self, scope: Any) -> Any:
        """The value. Raises: RenderError, and what an operator raises for values that it does not take."""
        raise NotImplementedError

    def find(self, scope: Any) -> Any:
        """The value as `default` takes it: MISSING where `evaluate` finds none at the end of a path."""
        return self.evaluate(scope)

    def operands(self) -> "tuple[Tree, ...]":
        """The trees below, in the order in which they are written."""
        return ()

    def asked(self, scope: Any, *, lenient: bool) -> "Iterator[tuple[Tree, bool]]":
        """The trees below that an evaluation reaches, in its order, and whether it takes a MISSING of each.

        `lenient` is whether a MISSING of this tree is taken.
        """
        return ((operand, False) for operand in self.operands())

    def sides(self) -> "tuple[Tree, ...]":
        """Whose values are to be seen where this tree is not what was wanted."""
        return (self,)

    def decisive(self, scope: Any, wanted: bool = True) -> "tuple[Tree, bool]":
        """The smallest condition because of which this one is not `wanted`, and what was wanted of it.

        The tree has an answer for `scope`, and that is not `wanted`.
        """
        return self, wanted

    def unanswered(self, scope: Any, *, lenient: bool = False) -> "Tree":
        """The smallest operation that has no answer for `scope`; a path that is missing belongs to the one it is for.

        `evaluate` raises for `scope` (`find`, if `lenient`).
        """
        for operand, takes_missing in self.asked(scope, lenient=lenient):
            try:
                operand.find(scope) if takes_missing else operand.evaluate(scope)
            except Exception:
                inner = operand.unanswered(scope, lenient=takes_missing)
                return self if isinstance(inner, Path) and inner is operand and not self.joins else inner
        return self

    def paths(self) -> "Iterator[Path]":
        """The outermost paths in this tree, as far as their keys are constants."""
        return (path for operand in self.operands() for path in operand.paths())

    def within(self, level: int) -> str:
        """The tree as an operand of one that holds so closely."""
        return str(self) if self.level >= level else f"({self})"


def operands_of(tree: Tree) -> Iterator[Tree]:
    """The conditions that `and` and `or` join in a tree, those within `not (…)` too; the tree itself if it joins none."""
    if not _joins_operands(tree):
        yield tree
        return
    for operand in tree.operands():
        yield from operands_of(operand)


def asked_operands(tree: Tree, scope: Any) -> list[Tree]:
    """Those of `operands_of` that an evaluation comes to, in its order: it ends where one decides, or has no answer."""
    asked: list[Tree] = []

    def ask(tree: Tree) -> None:
        if not _joins_operands(tree):
            asked.append(tree)
            return
        for operand, _ in tree.asked(scope, lenient=False):
            ask(operand)

    with suppress(Exception):  # what an operator raises for values that it does not take
        ask(tree)
    return asked


def _joins_operands(tree: Tree) -> bool:
    """Whether the tree is `and` or `or`, or the contrary of one: `not a` is as much as `a`."""
    operands = tree.operands()
    return tree.joins and (len(operands) > 1 or _joins_operands(operands[0]))


def seen_by(trees: Iterable[Tree], scope: Any) -> dict[str, Any]:
    """What trees read, and what they make of it: the value at each path, MISSING where there is none, and of each tree."""
    seen: dict[str, Any] = {}
    for tree in trees:
        paths = list(tree.paths())
        for path in paths:
            seen[str(path)] = MISSING
            with suppress(RenderError):
                seen[str(path)] = path.evaluate(scope)
        if paths:  # the value of others is what is written
            with suppress(Exception):
                seen.setdefault(str(tree), tree.find(scope))
    return seen


# What is written, and what is read


@dataclass(frozen=True, slots=True)
class Constant(Tree):
    """A constant. `text` is its spelling, which tells 1 from true, and 1.0 from 1."""

    text: str
    value: Any = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.text

    def evaluate(self, scope: Any) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class Path(Tree):
    """A path whose keys are constants: `data.customer.id`, `data.items[0]`. `read` gives what `root` names."""

    root: str
    keys: tuple[str | int, ...]
    read: Callable[[Any], Any] = field(repr=False)  # compared: the same path over other names is another one

    @property
    def parts(self) -> tuple[str | int, ...]:
        """The root and the keys."""
        return (self.root, *self.keys)

    def __str__(self) -> str:
        return reduce(step_to, self.keys, self.root)

    def evaluate(self, scope: Any) -> Any:
        value = self.read(scope)
        try:
            for key in self.keys:
                value = value[key]
        except (LookupError, TypeError):
            return self._read_slowly(self.read(scope))
        return value

    def find(self, scope: Any) -> Any:
        try:
            return self.evaluate(scope)
        except MissingValueError:
            return MISSING

    def paths(self) -> "Iterator[Path]":
        yield self

    def _read_slowly(self, value: Any) -> Any:
        """A path where a step failed: a record taken for a list of one, or the reason why there is nothing to read."""
        for depth, key in enumerate(self.keys, start=1):
            try:
                value = value[key]
            except (LookupError, TypeError):
                if _is_alone(value, key):
                    continue
                shown = ".".join(map(str, self.parts[:depth]))
                if isinstance(value, Opaque):
                    raise RenderError(f"{shown} is {value.kind}, which is not read") from None
                if isinstance(value, list) and isinstance(key, str) and any(isinstance(one, Mapping) for one in value):
                    raise MissingValueError(
                        f"{shown} is a list of {len(value)}: write {shown}[0] or {shown} | first for one of them; "
                        "name it in decode.lists if a single one is to be a list too"
                    ) from None
                raise MissingValueError(f"{'.'.join(map(str, self.parts))} is missing") from None
        return value


def _is_alone(value: Any, key: Any) -> bool:
    """Whether the first or the last of a list is asked of a record that stands alone, as XML has a list of one."""
    return isinstance(value, Mapping) and type(key) is int and key in (0, -1)


@dataclass(frozen=True, slots=True)
class Field(Tree):
    """A field of a value, or an element: `a.b` and `a['b']` both mean the field b, and only plain data has fields."""

    holder: Tree
    key: Tree

    def __str__(self) -> str:
        if isinstance(self.key, Constant) and isinstance(self.key.value, str):
            return step_to(self.holder.within(_OPERAND), self.key.value)
        return f"{self.holder.within(_OPERAND)}[{self.key}]"

    def evaluate(self, scope: Any) -> Any:
        return _present(_item(self.holder.evaluate(scope), _as_index(self.key.evaluate(scope))))

    def find(self, scope: Any) -> Any:
        holder = self.holder.find(scope)
        return MISSING if holder is MISSING else _item(holder, _as_index(self.key.evaluate(scope)))

    def operands(self) -> tuple[Tree, ...]:
        return self.holder, self.key

    def asked(self, scope: Any, *, lenient: bool) -> Iterator[tuple[Tree, bool]]:
        yield self.holder, lenient
        if not lenient or self.holder.find(scope) is not MISSING:
            yield self.key, False


def _present(value: Any) -> Any:
    if value is MISSING:
        raise RenderError("a value is missing")
    return value


def _item(holder: Any, key: Any) -> Any:
    if isinstance(holder, (dict, list, str, Mapping)):
        try:
            return holder[key]
        except (LookupError, TypeError):
            pass
    if _is_alone(holder, key):
        return holder
    if isinstance(holder, Mapping) and isinstance(key, slice):
        return [holder][key]  # a part of a list of one
    if isinstance(holder, Opaque):
        raise RenderError(f"the data is {holder.kind}, which is not read")
    return MISSING


def _as_index(key: Any) -> Any:
    """A whole number of any type is an index."""
    return int(key) if isinstance(key, float | Decimal) and numbers.is_finite(key) and key % 1 == 0 else key


@dataclass(frozen=True, slots=True)
class Slice(Tree):
    """What stands in brackets for a part of a list or text: `1:3`."""

    start: Tree | None
    stop: Tree | None
    step: Tree | None

    def __str__(self) -> str:
        start, stop, step = ("" if part is None else str(part) for part in (self.start, self.stop, self.step))
        return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"

    def evaluate(self, scope: Any) -> slice:
        parts = (self.start, self.stop, self.step)
        return slice(*[None if part is None else _as_index(part.evaluate(scope)) for part in parts])

    def operands(self) -> tuple[Tree, ...]:
        return tuple(part for part in (self.start, self.stop, self.step) if part is not None)


@dataclass(frozen=True, slots=True)
class Listed(Tree):
    """A list of values."""

    items: tuple[Tree, ...]

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.items))}]"

    def evaluate(self, scope: Any) -> list[Any]:
        return [item.evaluate(scope) for item in self.items]

    def operands(self) -> tuple[Tree, ...]:
        return self.items


# Conditions


@dataclass(frozen=True, slots=True)
class And(Tree):
    """Conditions that all have to be true: the first that is not, else the last."""

    conditions: tuple[Tree, ...]

    level = _AND
    joins = True

    def __str__(self) -> str:
        return " and ".join(condition.within(_NOT) for condition in self.conditions)

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

    level = _OR
    joins = True

    def __str__(self) -> str:
        return " or ".join(condition.within(_AND) for condition in self.conditions)

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

    level = _NOT
    joins = True

    def __str__(self) -> str:
        if isinstance(self.condition, Tested):
            return self.condition.spelled("is not")
        return f"not {self.condition.within(_NOT)}"

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

    level = _COMPARISON

    def __str__(self) -> str:
        others = (f"{sign.written} {right.within(_SUM)}" for sign, right in self.steps)
        return " ".join((self.first.within(_SUM), *others))

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

    level = _TEST

    def __post_init__(self) -> None:
        object.__setattr__(self, "takes_missing", self.test.written in ("defined", "undefined"))

    def __str__(self) -> str:
        return self.spelled("is")

    def spelled(self, verb: str) -> str:
        """As a rule has it, with `is` or `is not`."""
        asked = f"{self.operand.within(_FILTER)} {verb} {self.test.written}"
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


# What makes other values


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
        return _SUM if self.sign.written in "+-" else _PRODUCT

    def evaluate(self, scope: Any) -> Any:
        return self.sign.apply(self.left.evaluate(scope), self.right.evaluate(scope))

    def operands(self) -> tuple[Tree, ...]:
        return self.left, self.right


@dataclass(frozen=True, slots=True)
class Signed(Tree):
    """A number with a sign before it."""

    sign: Sign
    operand: Tree

    level = _SIGN

    def __str__(self) -> str:
        return f"{self.sign.written}{self.operand.within(_SIGN)}"

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

    level = _FILTER

    def __post_init__(self) -> None:
        object.__setattr__(self, "apply", self._applied())

    def _applied(self) -> Callable[[Any], Any]:
        function = FILTERS[self.name]
        values = [constant.value for keyword, constant in self.arguments if not keyword]
        keywords = {keyword: constant.value for keyword, constant in self.arguments if keyword}
        return (lambda value: function(value, *values, **keywords)) if self.arguments else function

    def __str__(self) -> str:
        written = [f"{keyword}={value}" if keyword else str(value) for keyword, value in self.arguments]
        return f"{self.operand.within(_FILTER)} | {self.name}" + (f"({', '.join(written)})" if written else "")

    def evaluate(self, scope: Any) -> Any:
        return _present(self.apply(self.operand.evaluate(scope)))

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

    level = _FILTER

    def __str__(self) -> str:
        return f"{self.operand.within(_FILTER)} | default({self.fallback}{self._boolean_spelled()})"

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

    level = _FILTER

    def __str__(self) -> str:
        locale = f", {self.locale}" if self.locale else ""
        return f"{self.operand.within(_FILTER)} | money({self.currency}{locale})"

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

    level = _CONDITIONAL

    def __str__(self) -> str:
        otherwise = "" if self.other is None else f" else {self.other}"
        return f"{self.chosen.within(_COMPARISON)} if {self.test.within(_OR)}{otherwise}"

    def evaluate(self, scope: Any) -> Any:
        branch = self._branch(scope)
        return _present(MISSING) if branch is None else branch.evaluate(scope)

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
