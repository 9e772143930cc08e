"""Expressions of `when` and `{{ }}`: Jinja's, cut down to what reads an event and cannot do anything else.

What is left of Jinja is its grammar and a list of node kinds: names of the event, fields, constants, comparisons,
arithmetic, and the filters and tests listed here. No call, no attribute of a Python object, no statement. Jinja parses
(`grammar`), and what it found becomes a tree (`expression_tree`). A plain path such as `data.customer.id` is read
directly: it is the common case.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from operator import attrgetter
from typing import Any

from jinja2 import nodes

from rules import localised, numbers
from rules.advice.foreign import expression_cure
from rules.errors import ExpressionError, MissingValueError, RenderError
from rules.expression_conditions import And, Comparison, Not, Or, Sign, Tested
from rules.expression_operations import (
    CALCULATIONS,
    COMPARING_TESTS,
    COMPARISONS,
    NO_BOOLEAN,
    NO_FALLBACK,
    ORDERS,
    SIGNS,
    TESTS,
    Arithmetic,
    Conditional,
    Default,
    Filtered,
    Money,
    Signed,
)
from rules.expression_tree import Constant, Field, Listed, Names, Path, Slice, Tree, seen_by
from rules.filters import FILTERS
from rules.grammar import MAX_DEPTH, parse
from rules.localisation import Localisation
from rules.text import rfc3339

EVENT_NAMES: Names = {
    "id": attrgetter("id"),
    "origin": attrgetter("origin"),
    "source": attrgetter("source"),
    "type": attrgetter("type"),
    "subject": attrgetter("subject"),
    "time": lambda event: rfc3339(event.time),
    "data": attrgetter("data"),
    "meta": attrgetter("meta"),
    "trace": attrgetter("trace"),
    "digest": lambda event: _digest(event),
}


DIGEST_FIELDS = ("count", "first", "last")
"""What `digest` has."""


def _digest(event: Any) -> Mapping[str, Any]:
    """What `digest` names: outside of a digest an event stands for itself."""
    digest = event.digest
    if digest is None:
        time = rfc3339(event.time)
        return {"count": 1, "first": time, "last": time}
    return {"count": digest.count, "first": rfc3339(digest.first), "last": rfc3339(digest.last)}


_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a pair, as an escape can write it; no encoding can."""

_TESTS: Mapping[str, Sign] = {**TESTS, **COMPARING_TESTS}
_NODES = (
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.List,
    nodes.Tuple,
    nodes.Filter,
    nodes.Keyword,
    nodes.Test,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.CondExpr,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Neg,
    nodes.Pos,
)
_REFUSED: Mapping[type[nodes.Node], str] = {
    nodes.Call: "calls are not part of the language, filters are: {{ value | upper }}",
    nodes.Concat: "~ is not part of the language: write {{ a }}{{ b }}",
    nodes.Pow: "** is not part of the language",
    nodes.Dict: "objects cannot be made in an expression",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """The part of an expression because of which it is false, or has no answer.

    `wanted` is that part in the spelling of the language and `offset` its place in the expression, from 0. `seen` are
    the values of what it compares and of the paths that are read for them, and `error` is why there is no answer.
    """

    wanted: str
    offset: int
    seen: Mapping[str, Any] = field(repr=False)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression: `tree` says what it is, `text` how it is written, with single spaces."""

    text: str
    tree: Tree = field(hash=False)  # the text tells apart what hashes are for

    evaluate: Callable[[Any], Any] = field(init=False, compare=False, repr=False)
    """The value for an event. Raises: RenderError, naming what is missing; null is a value, not missing."""

    def __post_init__(self) -> None:
        evaluate = self.tree.evaluate if isinstance(self.tree, Path) else self._evaluated
        object.__setattr__(self, "evaluate", evaluate)

    def _evaluated(self, scope: Any) -> Any:
        try:
            return self.tree.evaluate(scope)
        except MissingValueError:
            raise  # the path says it all
        except RenderError as error:
            raise RenderError(f"{self.text}: {error}") from None
        except TypeError:
            raise RenderError(f"{self.text}: does not go with values of these kinds") from None
        except ZeroDivisionError:
            raise RenderError(f"{self.text}: a division by zero") from None
        except Exception as error:  # what an operator raises for this event's values: the event cannot be trusted
            raise RenderError(f"{self.text}: {type(error).__name__}") from None  # its text may hold values

    def explain(self, scope: Any) -> Unmet | None:
        """Why the expression is not true for an event; None where it is."""
        try:
            if self.evaluate(scope):
                return None
        except RenderError as error:
            return self.unanswered(scope, error)
        tree, wanted = self.tree.decisive(scope)
        spelled = str(tree if wanted else Not(tree))
        return Unmet(wanted=spelled, offset=tree.offset, seen=seen_by(tree.sides(), scope))

    def unanswered(self, scope: Any, error: RenderError) -> Unmet:
        """Where in the expression there is no answer for an event, for which `evaluate` raised `error`."""
        tree = self.tree.unanswered(scope)
        seen = seen_by(tree.operands() or (tree,), scope)
        return Unmet(wanted=str(tree), offset=tree.offset, seen=seen, error=str(error))

    def refused(self, scope: Any, error: RenderError) -> Unmet:
        """The whole expression, whose value for an event was not taken: `error` says why."""
        return Unmet(
            wanted=str(self.tree), offset=self.tree.offset, seen=seen_by((self.tree,), scope), error=str(error)
        )

    def covered(self, unmet: Unmet, written: str) -> Unmet:
        """The same without what was filled into the expression, which is not to be shown; `written` is shown instead."""
        seen = {path: value for path, value in unmet.seen.items() if path in map(str, self.tree.paths())}
        error = unmet.error.removeprefix(self.text).removeprefix(":").strip()
        return Unmet(wanted=written, offset=0, seen=seen, error=error)


def compile_expression(
    text: str, names: Names = EVENT_NAMES, *, localisation: Localisation | None = None
) -> Expression:
    """Compile one bare expression, for one reader where there is a `localisation`. Raises: ExpressionError."""
    try:
        return _of_event(text) if names is EVENT_NAMES else _compiled(text, names, localisation)
    except ExpressionError as error:
        cure = expression_cure(text)
        error.hint = (
            "; ".join(filter(None, (error.hint, cure))) if error.hint.startswith("written") else cure or error.hint
        )
        raise


@lru_cache(maxsize=4096)
def _of_event(text: str) -> Expression:
    """Rules written alike share their expressions: each is parsed once."""
    return _compiled(text, EVENT_NAMES)


def _compiled(text: str, names: Names, localisation: Localisation | None = None) -> Expression:
    shown = " ".join(text.split())
    if _PLAIN_PATH.fullmatch(text):
        root, *keys = shown.split(".")
        if root in names and len(keys) < MAX_DEPTH:
            return Expression(shown, Path(root, tuple(keys), names[root], offset=len(text) - len(text.lstrip())))
    node = parse(text)
    if localisation is not None:
        localisation.give(node)
    _check(node, names, depth=0)
    return Expression(shown, _tree_of(node, names))


_PLAIN_PATH = re.compile(r"\s*[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\s*", re.ASCII)


# What is refused


def _check(node: nodes.Node, names: Names, *, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels")
    if not isinstance(node, _NODES):
        raise ExpressionError(_REFUSED.get(type(node), f"{type(node).__name__} is not part of the language"))
    match node:
        case nodes.Const(value=str() as text) if _SURROGATE.search(text):
            raise ExpressionError("half of a surrogate pair is no character")
        case nodes.Const(value=value) if numbers.is_number(value):
            _check_number(value)
        case nodes.Name(name=name) if name not in names:
            raise _unknown("name", name, names)
        case nodes.Filter():
            _check_filter(node)
        case nodes.Test():
            _check_test(node)
    for child in node.iter_child_nodes():
        _check(child, names, depth=depth + 1)


def _check_number(value: Any) -> None:
    try:
        numbers.bounded(value)
    except RenderError as error:
        raise ExpressionError(str(error)) from None


def _check_test(node: nodes.Test) -> None:
    if node.name not in _TESTS:
        raise _unknown("test", node.name, _TESTS)
    wanted = 1 if node.name in COMPARING_TESTS else 0
    if len(node.args) != wanted or node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
        raise ExpressionError(f"the test {node.name} takes {'one value' if wanted else 'no arguments'}")


def _check_filter(node: nodes.Filter) -> None:
    function = FILTERS.get(node.name)
    if function is None:
        raise _unknown("filter", node.name, FILTERS)
    if node.node is None or node.dyn_args is not None or node.dyn_kwargs is not None:
        raise ExpressionError(f"{node.name} takes plain arguments only")
    arguments = [*node.args, *(keyword.value for keyword in node.kwargs)]
    named = {str(word.key): word.value for word in node.kwargs}
    try:
        given = inspect.signature(function).bind(None, *node.args, **named).arguments
    except TypeError as error:
        raise ExpressionError(f"{node.name}: {error}") from None
    if node.name != "default":
        free = {id(given["currency"])} if node.name == "money" else set()
        if any(_constant(argument) is None for argument in arguments if id(argument) not in free):
            raise ExpressionError(f"the arguments of {node.name} are constants")
    if node.name in _SAMPLES:
        _check_arguments(node)
    if node.name in localised.FILTERS:
        _check_localised(node.name, {**given, **given.get("texts", {})})


_SAMPLES: Mapping[str, Any] = {
    "join": [],
    "mask": "text",
    "replace": "text",
    "round": Decimal("12.345"),
    "trim": "text",
    "truncate": "text" * 256,
}
"""For each filter whose arguments may be wrong for all events a value that right ones go with."""


def _check_arguments(node: nodes.Filter) -> None:
    """Arguments that fail for every value, such as what no number can be rounded by. Raises: ExpressionError."""
    arguments = [argument.value for argument in map(_constant, node.args) if argument is not None]
    named = {str(word.key): value.value for word in node.kwargs if (value := _constant(word.value)) is not None}
    try:
        FILTERS[node.name](_SAMPLES[node.name], *arguments, **named)
    except RenderError as error:
        raise ExpressionError(f"{node.name}: {error}") from None
    except (TypeError, ValueError):
        given = ", ".join([_spelled(value) for value in (*arguments, *named.values())])
        raise ExpressionError(f"{node.name}: does not take these arguments: {given}") from None


def _check_localised(name: str, given: Mapping[str, Any]) -> None:
    """Raises: ExpressionError: a locale, zone or currency that there is none of."""
    constants = {key: _constant(node) for key, node in given.items() if isinstance(node, nodes.Expr)}
    try:
        localised.check(name, {key: constant.value for key, constant in constants.items() if constant is not None})
    except ValueError as error:
        raise ExpressionError(f"{name}: {error}") from None


def _unknown(kind: str, name: str, known: Mapping[str, Any]) -> ExpressionError:
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
    return ExpressionError(f"there is no {kind} {name!r}", hint=hint)


# From the nodes of Jinja to a tree


def _tree_of(node: nodes.Node, names: Names) -> Tree:
    """The tree of nodes that are checked. Raises: ExpressionError: a slice among other keys."""

    def trees(*below: nodes.Node) -> tuple[Tree, ...]:
        return tuple(_tree_of(each, names) for each in below)

    match node:
        case nodes.Const(value=value):
            return Constant(_spelled(value), value, offset=node.lineno)
        case nodes.Name(name=name):
            return Path(name, (), names[name], offset=node.lineno)
        case nodes.Getattr(node=holder, attr=attr):
            return _field(_tree_of(holder, names), Constant(_spelled(attr), attr))
        case nodes.Getitem(node=holder, arg=nodes.Slice() as key):
            return _field(_tree_of(holder, names), _slice(key, names))
        case nodes.Getitem(node=holder, arg=key):
            return _field(_tree_of(holder, names), _tree_of(key, names))
        case nodes.Slice():
            raise ExpressionError("a slice stands in brackets alone")
        case nodes.List(items=items) | nodes.Tuple(items=items):
            return Listed(trees(*items), offset=node.lineno)
        case nodes.CondExpr():
            return _conditional(node, names)
        case nodes.Filter():
            return _filtered(node, names)
        case nodes.UnaryExpr() | nodes.BinExpr() | nodes.Compare() | nodes.Test():
            return _operation(node, *trees(*_operands(node)))
        case _:
            raise AssertionError(f"{type(node).__name__} was not refused")


def _field(holder: Tree, key: Tree) -> Tree:
    if isinstance(holder, Path) and isinstance(key, Constant) and type(key.value) in (str, int):
        return Path(holder.root, (*holder.keys, key.value), holder.read, offset=holder.offset)
    return Field(holder, key, offset=holder.offset)


def _slice(node: nodes.Slice, names: Names) -> Slice:
    if node.step is not None and (step := _constant(node.step)) is not None and step.value == 0:
        raise ExpressionError("a slice has no step of 0")
    parts = (None if part is None else _tree_of(part, names) for part in (node.start, node.stop, node.step))
    return Slice(*parts, offset=node.lineno)


def _conditional(node: nodes.CondExpr, names: Names) -> Conditional:
    test, chosen = _tree_of(node.test, names), _tree_of(node.expr1, names)
    other = None if node.expr2 is None else _tree_of(node.expr2, names)
    return Conditional(test, chosen, other, offset=chosen.offset)


def _filtered(node: nodes.Filter, names: Names) -> Tree:
    assert node.node is not None
    operand = _tree_of(node.node, names)
    if node.name == "default":
        given: dict[str, nodes.Expr] = dict(zip(("default_value", "boolean"), node.args, strict=False))
        given.update({str(keyword.key): keyword.value for keyword in node.kwargs})
        arguments = {name: _tree_of(argument, names) for name, argument in given.items()}
        fallback, boolean = arguments.get("default_value", NO_FALLBACK), arguments.get("boolean", NO_BOOLEAN)
        return Default(operand, fallback, boolean, offset=operand.offset)
    if node.name == "money":
        return _money(node, operand, names)
    named = [*(("", argument) for argument in node.args), *((str(each.key), each.value) for each in node.kwargs)]
    constants = ((keyword, _constant(argument)) for keyword, argument in named)
    arguments_given = tuple((keyword, constant) for keyword, constant in constants if constant is not None)
    return Filtered(node.name, operand, arguments_given, offset=operand.offset)


def _money(node: nodes.Filter, operand: Tree, names: Names) -> Money:
    given = dict(zip(("currency", "locale"), node.args, strict=False))
    given.update({str(keyword.key): keyword.value for keyword in node.kwargs})
    locale = _constant(given["locale"]) if "locale" in given else None
    return Money(operand, _tree_of(given["currency"], names), locale, offset=operand.offset)


def _operands(node: nodes.Node) -> list[nodes.Node]:
    match node:
        case nodes.UnaryExpr(node=operand):
            return [operand]
        case nodes.BinExpr(left=left, right=right):
            return [left, right]
        case nodes.Compare(expr=first, ops=operands):
            return [first, *(operand.expr for operand in operands)]
        case nodes.Test(node=operand, args=arguments):
            return [operand, *arguments]
    return []


def _operation(node: nodes.Node, first: Tree, *others: Tree) -> Tree:
    offset = min(node.lineno, first.offset)  # a sign and `not` stand before, other operators behind the first operand
    match node:
        case nodes.And():
            return And(_joined(And, first, *others), offset=offset)
        case nodes.Or():
            return Or(_joined(Or, first, *others), offset=offset)
        case nodes.Not():
            return Not(first, offset=offset)
        case nodes.Compare(ops=operands):
            signs = (COMPARISONS[operand.op] for operand in operands)
            return Comparison(first, tuple(zip(signs, others, strict=True)), offset=offset)
        case nodes.Test(name=name):
            return Tested(_TESTS[name], first, others[0] if others else None, offset=offset)
        case nodes.UnaryExpr(operator=sign):
            return Signed(SIGNS[sign], first, offset=offset)
        case nodes.BinExpr(operator=sign):
            return Arithmetic(CALCULATIONS[sign], first, *others, offset=offset)
        case _:
            raise AssertionError(f"{type(node).__name__} is no operation")


def _joined(kind: type[And] | type[Or], *trees: Tree) -> tuple[Tree, ...]:
    """`(a and b) and c` is `a and b and c`."""
    return tuple(each for tree in trees for each in (tree.conditions if isinstance(tree, kind) else (tree,)))


def _constant(node: nodes.Node) -> Constant | None:
    """The constant that a node is, which may have a sign; None for anything else."""
    match node:
        case nodes.Const(value=value):
            return Constant(_spelled(value), value, offset=node.lineno)
        case nodes.Neg(node=nodes.Const(value=value)) if numbers.is_number(value):
            return Constant(f"-{_spelled(value)}", numbers.negative(value), offset=node.lineno)
        case nodes.Pos(node=nodes.Const(value=value)) if numbers.is_number(value):
            return Constant(f"+{_spelled(value)}", value, offset=node.lineno)
    return None


def _spelled(value: Any) -> str:
    """A constant as an expression has it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str) else str(value)


def ordered_texts(tree: Tree) -> Iterator[str]:
    """The constant texts that an expression compares by order."""
    if isinstance(tree, Comparison) and all(sign in ORDERS for sign, _ in tree.steps):
        sides = (side for side in tree.operands() if isinstance(side, Constant))
        yield from (side.value for side in sides if isinstance(side.value, str))
    for operand in tree.operands():
        yield from ordered_texts(operand)
