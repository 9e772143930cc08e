"""What the nodes of an expression give for an event: each becomes a function once, when the rule loads.

Nothing of Jinja runs: it only parses. So an expression can reach fields of plain data and nothing else.
"""

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from jinja2 import nodes

from rules import numbers
from rules.errors import MissingValueError, RenderError
from rules.event import MISSING, Opaque
from rules.filters import FILTERS, is_absent

Evaluate = Callable[[Any], Any]
Names = Mapping[str, Callable[[Any], Any]]
"""What an expression may name, and how each is read from the thing it is evaluated on."""

Path = tuple[str | int, ...]


def path_of(node: nodes.Node) -> Path | None:
    """The path that an expression is, when it is nothing else: `data.customer.id`, `data.items[0]`."""
    match node:
        case nodes.Name(name=name):
            return (name,)
        case nodes.Getattr(node=inner, attr=attr):
            key: str | int = attr
        case nodes.Getitem(node=inner, arg=nodes.Const(value=str() | int() as key)):
            pass
        case _:
            return None
    parent = path_of(inner)
    return None if parent is None else (*parent, key)


def path_reader(path: Path, names: Names) -> Evaluate:
    """What reads the value at a path. It raises MissingValueError with the whole path."""
    root, fields = names[str(path[0])], path[1:]

    def read(scope: Any) -> Any:
        value = root(scope)
        try:
            for field in fields:
                value = value[field]
        except (LookupError, TypeError):
            return _read_slowly(path, root(scope))
        return value

    return read


def _read_slowly(path: Path, value: Any) -> Any:
    """A path where a step failed: a record taken for a list of one, or the reason why there is nothing to read."""
    for depth, field in enumerate(path[1:], start=1):
        try:
            value = value[field]
        except (LookupError, TypeError):
            if _is_alone(value, field):
                continue
            shown = ".".join(map(str, path[:depth]))
            if isinstance(value, Opaque):
                raise RenderError(f"{shown} is {value.kind}, which is not read") from None
            if isinstance(value, list) and isinstance(field, str) and any(isinstance(each, Mapping) for each in value):
                raise MissingValueError(
                    f"{shown} is a list of {len(value)}: write {shown}[0] or {shown} | first for one of them; "
                    "name it in decode.lists if a single one is to be a list too"
                ) from None
            raise MissingValueError(f"{'.'.join(map(str, path))} is missing") from None
    return value


def _is_alone(value: Any, field: Any) -> bool:
    """Whether the first or the last of a list is asked of a record that stands alone, as XML has a list of one."""
    return isinstance(value, Mapping) and type(field) is int and field in (0, -1)


def evaluator(node: nodes.Node, names: Names, *, lenient: bool = False) -> Evaluate:
    """What gives the value of a checked expression for a scope.

    Where the value is missing it gives MISSING if `lenient`, as for the input of `default`, and else raises
    MissingValueError or RenderError. It raises as well what an operator raises for values it does not take.
    """
    path = path_of(node)
    if path is not None:
        read = path_reader(path, names)
        return _or_missing(read) if lenient else read
    if isinstance(node, nodes.Filter) and node.name == "default":
        return _default(node, names, lenient=lenient)
    if isinstance(node, nodes.CondExpr):
        return _conditional(node, names, lenient=lenient)
    if isinstance(node, nodes.Getattr | nodes.Getitem):
        found = _field(node, names, lenient=lenient)
    elif isinstance(node, nodes.Filter):
        found = _filtered(node, names)
    else:
        return _operator(node, names, lenient=lenient)
    return found if lenient else _present(found)


def constant_of(node: nodes.Node) -> Any:
    """The value of a constant, which may have a sign; MISSING for anything else."""
    match node:
        case nodes.Const(value=value):
            return value
        case nodes.Neg(node=nodes.Const(value=value)) if numbers.is_number(value):
            return numbers.negative(value)
        case nodes.Pos(node=nodes.Const(value=value)) if numbers.is_number(value):
            return value
        case _:
            return MISSING


def _or_missing(read: Evaluate) -> Evaluate:
    def read_leniently(scope: Any) -> Any:
        try:
            return read(scope)
        except MissingValueError:
            return MISSING

    return read_leniently


def _present(read: Evaluate) -> Evaluate:
    def read_present(scope: Any) -> Any:
        value = read(scope)
        if value is MISSING:
            raise RenderError("a value is missing")
        return value

    return read_present


def _default(node: nodes.Filter, names: Names, *, lenient: bool) -> Evaluate:
    """The filter `default`, whose fallback is read only when it is needed: it may be missing itself."""
    arguments: dict[str, nodes.Expr] = dict(zip(("default_value", "boolean"), node.args, strict=False))
    arguments.update({str(keyword.key): keyword.value for keyword in node.kwargs})
    assert node.node is not None
    value_of = evaluator(node.node, names, lenient=True)
    fallback_of = evaluator(arguments.get("default_value", nodes.Const("")), names, lenient=lenient)
    boolean_of = evaluator(arguments.get("boolean", nodes.Const(False)), names)

    def default(scope: Any) -> Any:
        value = value_of(scope)
        return fallback_of(scope) if is_absent(value, boolean_of(scope)) else value

    return default


def _conditional(node: nodes.CondExpr, names: Names, *, lenient: bool) -> Evaluate:
    test = evaluator(node.test, names)
    chosen = evaluator(node.expr1, names, lenient=lenient)
    if node.expr2 is not None:
        other = evaluator(node.expr2, names, lenient=lenient)
    else:
        other = _nothing if lenient else _present(_nothing)
    return lambda scope: chosen(scope) if test(scope) else other(scope)


def _nothing(scope: Any) -> Any:
    return MISSING


def _field(node: nodes.Getattr | nodes.Getitem, names: Names, *, lenient: bool) -> Evaluate:
    """`a.b` and `a['b']` both mean the field b, and only plain data has fields."""
    inner = evaluator(node.node, names, lenient=lenient)
    key_of: Evaluate
    if isinstance(node, nodes.Getattr):
        name = node.attr
        key_of = lambda scope: name  # noqa: E731
    elif isinstance(node.arg, nodes.Slice):
        key_of = _slice(node.arg, names)
    else:
        key_of = evaluator(node.arg, names)

    def field(scope: Any) -> Any:
        holder = inner(scope)
        return MISSING if holder is MISSING else _item(holder, _as_index(key_of(scope)))

    return field


def _item(holder: Any, key: Any) -> Any:
    if isinstance(holder, (dict, list, str, Mapping)):
        try:
            return holder[key]
        except (LookupError, TypeError):
            pass
    if _is_alone(holder, key):
        return holder
    if isinstance(holder, Opaque):
        raise RenderError(f"the data is {holder.kind}, which is not read")
    return MISSING


def _as_index(key: Any) -> Any:
    """A whole number of any type is an index."""
    return int(key) if isinstance(key, float | Decimal) and numbers.is_finite(key) and key % 1 == 0 else key


def _slice(node: nodes.Slice, names: Names) -> Evaluate:
    parts = [evaluator(part or nodes.Const(None), names) for part in (node.start, node.stop, node.step)]
    return lambda scope: slice(*[_as_index(part(scope)) for part in parts])


def _filtered(node: nodes.Filter, names: Names) -> Evaluate:
    assert node.node is not None
    function, value_of = FILTERS[node.name], evaluator(node.node, names)
    arguments = [constant_of(argument) for argument in node.args]
    keywords = {str(keyword.key): constant_of(keyword.value) for keyword in node.kwargs}
    if not arguments and not keywords:
        return lambda scope: function(value_of(scope))
    return lambda scope: function(value_of(scope), *arguments, **keywords)


def _operator(node: nodes.Node, names: Names, *, lenient: bool) -> Evaluate:
    match node:
        case nodes.Const(value=value):
            return lambda scope: value
        case nodes.List(items=items) | nodes.Tuple(items=items):
            elements = [evaluator(item, names) for item in items]
            return lambda scope: [element(scope) for element in elements]
        case nodes.And(left=left, right=right):
            first, second = evaluator(left, names), evaluator(right, names, lenient=lenient)
            return lambda scope: first(scope) and second(scope)
        case nodes.Or(left=left, right=right):
            first, second = evaluator(left, names), evaluator(right, names, lenient=lenient)
            return lambda scope: first(scope) or second(scope)
        case nodes.Not(node=inner):
            value_of = evaluator(inner, names)
            return lambda scope: not value_of(scope)
        case nodes.Compare(expr=left, ops=operands):
            return _comparison(evaluator(left, names), operands, names)
        case nodes.Test():
            return _tested(node, names)
        case nodes.UnaryExpr(node=inner):
            calculate, value_of = _UNARY[node.operator], evaluator(inner, names)
            return lambda scope: calculate(value_of(scope))
        case nodes.BinExpr(left=left, right=right):
            combine = _BINARY[node.operator]
            first, second = evaluator(left, names), evaluator(right, names)
            return lambda scope: combine(first(scope), second(scope))
        case _:
            raise AssertionError(f"{type(node).__name__} was not refused")


def _comparison(first: Evaluate, operands: list[nodes.Operand], names: Names) -> Evaluate:
    """One comparison, or several in a row: `a < b < c` is `a < b and b < c`."""
    steps = [(_COMPARE[operand.op], evaluator(operand.expr, names)) for operand in operands]
    if len(steps) == 1:
        ((compare, second),) = steps
        return lambda scope: compare(first(scope), second(scope))

    def compare_all(scope: Any) -> bool:
        left = first(scope)
        for compare, value_of in steps:
            right = value_of(scope)
            if not compare(left, right):
                return False
            left = right
        return True

    return compare_all


def _tested(node: nodes.Test, names: Names) -> Evaluate:
    if node.name in ("defined", "undefined"):
        value_of, expected = evaluator(node.node, names, lenient=True), node.name == "defined"
        return lambda scope: (value_of(scope) is not MISSING) is expected
    value_of = evaluator(node.node, names)
    if node.args:
        compare, other = COMPARING_TESTS[node.name], evaluator(node.args[0], names)
        return lambda scope: compare(value_of(scope), other(scope))
    test = TESTS[node.name]
    return lambda scope: test(value_of(scope))


def _in(item: Any, container: Any) -> bool:
    return numbers.contains(container, item)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: numbers.ordered(compare, left, right)


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": numbers.equal,
    "ne": lambda left, right: not numbers.equal(left, right),
    "gt": _ordered(operator.gt),
    "gteq": _ordered(operator.ge),
    "lt": _ordered(operator.lt),
    "lteq": _ordered(operator.le),
    "in": _in,
    "notin": lambda item, container: not _in(item, container),
}
_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": numbers.add,
    "-": numbers.subtract,
    "*": numbers.multiply,
    "/": numbers.divide,
    "//": numbers.floor_divide,
    "%": numbers.modulo,
}
_UNARY: Mapping[str, Callable[[Any], Any]] = {"-": numbers.negative, "+": numbers.positive}

COMPARING_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {name: _COMPARE[name] for name in ("in", "eq", "ne")}
"""Tests with one argument: `x is in [1, 2]`."""

TESTS: Mapping[str, Callable[[Any], bool]] = {
    "defined": lambda value: value is not MISSING,
    "undefined": lambda value: value is MISSING,
    "none": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "number": numbers.is_number,
    "boolean": lambda value: isinstance(value, bool),
    "mapping": lambda value: isinstance(value, Mapping),
    "sequence": lambda value: isinstance(value, str | list | Mapping),
}
"""Tests without an argument."""
