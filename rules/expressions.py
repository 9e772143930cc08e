"""Expressions of `when` and `{{ }}`: Jinja's, cut down to what reads an event and cannot do anything else.

What is left of Jinja is a list of node kinds: names of the event, fields, constants, comparisons, arithmetic, and the
filters and tests listed here. No call, no attribute of a Python object, no statement. The sandbox stays around it as a
second wall. A plain path such as `data.customer.id` is read directly, without Jinja: it is the common case, and
costs a tenth.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from math import isfinite
from operator import attrgetter
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, UndefinedError, nodes
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rules.errors import ExpressionError, RenderError
from rules.filters import FILTERS
from rules.foreign import expression_cure
from rules.text import rfc3339

Names = Mapping[str, Callable[[Any], Any]]
"""What an expression may name, and how each is read from the thing it is evaluated on."""

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
}

MAX_DEPTH = 40
"""How deep an expression may nest: Python compiles what Jinja makes of it, and stops at 200 parentheses."""

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a pair, as an escape can write it; no encoding can."""

_TESTS = ("defined", "undefined", "none", "string", "number", "boolean", "mapping", "sequence", "in", "eq", "ne")
_NODES = (
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.List,
    nodes.Tuple,
    nodes.Filter,
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


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression; `path` is set when it is nothing but a path."""

    text: str
    evaluate: Callable[[Any], Any]
    """The value for an event. Raises: RenderError, naming what is missing; null is a value, not missing."""
    path: tuple[str | int, ...] | None = None


def compile_expression(text: str, names: Names = EVENT_NAMES) -> Expression:
    """Compile one bare expression. Raises: ExpressionError."""
    try:
        return _compiled(text, names)
    except ExpressionError as error:
        cure = expression_cure(text)
        error.hint = (
            "; ".join(filter(None, (error.hint, cure))) if error.hint.startswith("written") else cure or error.hint
        )
        raise


def _compiled(text: str, names: Names) -> Expression:
    shown = " ".join(text.split())
    tree = _parse(text)
    _check(tree, names, depth=0)
    path = _path(tree)
    if path is not None:
        return Expression(shown, _path_reader(path, names), path)
    return Expression(shown, _jinja_reader(tree, shown, names))


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja over plain data: `a.b` and `a['b']` both mean the field b, and nothing else has fields."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            return obj  # so that `default` covers a field of a missing object too
        if isinstance(obj, Mapping | list | str):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                pass
        return self.undefined(obj=obj, name=argument)

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator in "*%" and (isinstance(left, str | list) or isinstance(right, str | list)):
            raise RenderError(f"{operator} is for numbers")  # repeating or formatting text could fill the memory
        if isinstance(left, Decimal) and isinstance(right, float):
            right = Decimal(str(right))
        elif isinstance(left, float) and isinstance(right, Decimal):
            left = Decimal(str(left))
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, float) and not isfinite(result):
            raise RenderError("a number is out of range")  # JSON has no way to say it
        return result


_ENVIRONMENT = _Environment(undefined=StrictUndefined, keep_trailing_newline=True)
_ENVIRONMENT.globals.clear()
_ENVIRONMENT.filters = dict(FILTERS)
_ENVIRONMENT.tests = {name: _ENVIRONMENT.tests[name] for name in _TESTS}


def split(text: str) -> Iterator[tuple[int, str, bool]]:
    """The pieces of a text with holes: (offset, piece, whether it is the inside of a hole).

    Raises: ExpressionError: a hole that is not closed, or a statement.
    """
    offset, hole_at, inside = 0, 0, ""
    in_hole = False
    try:
        for _, kind, token in _ENVIRONMENT.lex(text):
            if kind in ("block_begin", "comment_begin", "linestatement_begin"):
                raise ExpressionError(
                    f"{token} is not part of the language", column=offset + 1, hint="{{ a if condition else b }}"
                )
            if kind == "variable_begin":
                in_hole, hole_at, inside = True, offset + len(token), ""
            elif kind == "variable_end":
                in_hole = False
                yield hole_at, inside, True
            elif in_hole:
                inside += token
            else:
                yield offset, token, False
            offset += len(token)
    except TemplateSyntaxError as error:
        cure = expression_cure(text[hole_at:].partition("}}")[0]) if in_hole else ""
        raise ExpressionError(_lowered(error.message), column=offset + 1, hint=cure) from error
    if in_hole:
        raise ExpressionError("this {{ is never closed", column=hole_at - 1)


def _parse(text: str) -> nodes.Expr:
    if not text.strip():
        raise ExpressionError("the expression is empty")
    try:
        parser = Parser(_ENVIRONMENT, text, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise ExpressionError(f"expected the end, found {str(parser.stream.current)!r}")
    except TemplateSyntaxError as error:
        hint = "written bare, without {{ }}" if text.lstrip().startswith("{{") else ""
        raise ExpressionError(_lowered(error.message), hint=hint) from error
    except RecursionError as error:
        raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels") from error
    return tree


def _check(node: nodes.Node, names: Names, *, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels")
    if not isinstance(node, _NODES):
        raise ExpressionError(_REFUSED.get(type(node), f"{type(node).__name__} is not part of the language"))
    match node:
        case nodes.Const(value=str() as text) if _SURROGATE.search(text):
            raise ExpressionError("half of a surrogate pair is no character")
        case nodes.Name(name=name) if name not in names:
            raise _unknown("name", name, names)
        case nodes.Filter():
            _check_filter(node)
        case nodes.Test(name=name) if name not in _TESTS:
            raise _unknown("test", name, _TESTS)
    for child in node.iter_child_nodes():
        _check(child, names, depth=depth + 1)


def _check_filter(node: nodes.Filter) -> None:
    function = FILTERS.get(node.name)
    if function is None:
        raise _unknown("filter", node.name, FILTERS)
    if node.node is None or node.dyn_args is not None or node.dyn_kwargs is not None:
        raise ExpressionError(f"{node.name} takes plain arguments only")
    arguments = [*node.args, *(keyword.value for keyword in node.kwargs)]
    if node.name != "default" and not all(isinstance(argument, nodes.Const) for argument in arguments):
        raise ExpressionError(f"the arguments of {node.name} are constants")
    try:
        inspect.signature(function).bind(None, *node.args, **{str(word.key): word.value for word in node.kwargs})
    except TypeError as error:
        raise ExpressionError(f"{node.name}: {error}") from None


def _unknown(kind: str, name: str, known: Mapping[str, Any] | tuple[str, ...]) -> ExpressionError:
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
    return ExpressionError(f"there is no {kind} {name!r}", hint=hint)


def _path(node: nodes.Node) -> tuple[str | int, ...] | None:
    match node:
        case nodes.Name(name=name):
            return (name,)
        case nodes.Getattr(node=inner, attr=attr):
            key: str | int = attr
        case nodes.Getitem(node=inner, arg=nodes.Const(value=str() | int() as key)):
            pass
        case _:
            return None
    parent = _path(inner)
    return None if parent is None else (*parent, key)


def _path_reader(path: tuple[str | int, ...], names: Names) -> Callable[[Any], Any]:
    root, fields = names[str(path[0])], path[1:]
    missing = f"{'.'.join(map(str, path))} is missing"

    def read(scope: Any) -> Any:
        value = root(scope)
        try:
            for field in fields:
                value = value[field]
        except (LookupError, TypeError):
            raise RenderError(missing) from None
        return value

    return read


def _jinja_reader(tree: nodes.Expr, shown: str, names: Names) -> Callable[[Any], Any]:
    roots = {name.name: names[name.name] for name in _names(tree)}
    required = [_path_reader(path, names) for path in _required_paths(tree)]
    # As Environment.compile_expression does it: assign the expression, then look at what was assigned.
    body = nodes.Template([nodes.Assign(nodes.Name("result", "store"), tree, lineno=1)], lineno=1)
    template = _ENVIRONMENT.from_string(body)
    render = template.root_render_func

    def read(scope: Any) -> Any:
        context = template.new_context({name: root(scope) for name, root in roots.items()})
        try:
            for _ in render(context):
                pass  # an assignment yields nothing; running the generator is what assigns
            value = context.vars["result"]
            if isinstance(value, Undefined):
                str(value)  # raises UndefinedError
        except UndefinedError:
            for reader in required:
                reader(scope)  # the first that is missing says so by its whole path
            raise RenderError(f"{shown}: a value is missing") from None
        except RenderError as error:
            raise RenderError(f"{shown}: {error}") from None
        except Exception as error:  # whatever an operator raises for this event's values: the event cannot be trusted
            raise RenderError(f"{shown}: {type(error).__name__}") from None  # its text may hold values
        return value

    return read


def _names(tree: nodes.Expr) -> list[nodes.Name]:
    return [tree] if isinstance(tree, nodes.Name) else list(tree.find_all(nodes.Name))


def _required_paths(node: nodes.Node) -> list[tuple[str | int, ...]]:
    """The outermost paths in an expression, but for those that `default` stands in for."""
    path = _path(node)
    if path is not None:
        return [path]
    if isinstance(node, nodes.Filter) and node.name == "default":
        return [path for argument in node.args for path in _required_paths(argument)]
    return [path for child in node.iter_child_nodes() for path in _required_paths(child)]


def _lowered(message: str | None) -> str:
    """A message of Jinja as part of ours, without its offset: the column says that."""
    message = re.sub(r" at \d+$", "", message or "not an expression")
    return message[0].lower() + message[1:].rstrip(".")


class Readings(NamedTuple):
    """What an expression reads: its outermost paths, as far as their keys are constants, and the constant texts that it
    compares by order."""

    paths: tuple[tuple[str | int, ...], ...] = ()
    ordered_texts: tuple[str, ...] = ()


def readings_of(text: str) -> Readings:
    """What an expression reads; nothing, of one that is refused."""
    if _PLAIN_PATH.fullmatch(text):
        return Readings((tuple(text.strip().split(".")),))
    try:
        tree = _parse(text)
    except ExpressionError:
        return Readings()
    return Readings(tuple(_paths_below(tree)), tuple(_ordered_texts(tree)))


_PLAIN_PATH = re.compile(r"\s*[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\s*")


def _paths_below(node: nodes.Node) -> list[tuple[str | int, ...]]:
    path = _path(node)
    if path is not None:
        return [path]
    return [path for child in node.iter_child_nodes() for path in _paths_below(child)]


def _ordered_texts(tree: nodes.Node) -> Iterator[str]:
    for compare in [tree] if isinstance(tree, nodes.Compare) else tree.find_all(nodes.Compare):
        sides = [compare.expr, *(operand.expr for operand in compare.ops)]
        if all(operand.op in ("gt", "gteq", "lt", "lteq") for operand in compare.ops):
            yield from (side.value for side in sides if isinstance(side, nodes.Const) and isinstance(side.value, str))
