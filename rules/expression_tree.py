"""An expression as data: a frozen tree that is compared by value, spelled as a rule would, evaluated and explained.

A tree reads fields of plain data and can do nothing else. Two trees are equal when they say the same, wherever they
stand; `offset` is where one begins in the text that it was read from, counted from 0. What `str` gives of a tree is read
as an equal one. Conditions are in `expression_conditions`, arithmetic and filters in `expression_operations`.
"""

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

Names = Mapping[str, Callable[[Any], Any]]
"""What an expression may name, and how each is read from the thing it is evaluated on."""

CONDITIONAL, OR, AND, NOT, TEST, COMPARISON, SUM, PRODUCT, FILTER, SIGN, OPERAND = range(11)
"""How closely a tree holds its operands together, least first: what holds less is put in parentheses."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What gives a value for an event, or for whatever else has the names that it reads."""

    offset: int = field(default=0, compare=False, repr=False, kw_only=True)

    level: ClassVar[int] = OPERAND
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
                    raise MissingValueError(_list_met(shown, len(value))) from None
                raise MissingValueError(f"{'.'.join(map(str, self.parts))} is missing") from None
        return value


def _list_met(path: str, count: int) -> str:
    """What to do about a list where one was meant: JSON's is split into events, XML's may be one of one by chance.

    A body that is a list as a whole is JSON: a document of XML has one element.
    """
    cures = [f"write {path}[0] or {path} | first for one of them"]
    if path == "data" or path.startswith("data."):
        cures.append(f"decode.split: {path} makes an event of each in JSON")
    if path != "data":
        cures.append("decode.lists names it in XML if a single one is to be a list too")
    return f"{path} is a list of {count}: {'; '.join(cures)}"


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
            return step_to(self.holder.within(OPERAND), self.key.value)
        return f"{self.holder.within(OPERAND)}[{self.key}]"

    def evaluate(self, scope: Any) -> Any:
        return present(_item(self.holder.evaluate(scope), _as_index(self.key.evaluate(scope))))

    def find(self, scope: Any) -> Any:
        holder = self.holder.find(scope)
        return MISSING if holder is MISSING else _item(holder, _as_index(self.key.evaluate(scope)))

    def operands(self) -> tuple[Tree, ...]:
        return self.holder, self.key

    def asked(self, scope: Any, *, lenient: bool) -> Iterator[tuple[Tree, bool]]:
        yield self.holder, lenient
        if not lenient or self.holder.find(scope) is not MISSING:
            yield self.key, False


def present(value: Any) -> Any:
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
