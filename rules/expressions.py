"""Expressions of `when` and `{{ }}`: Jinja's, cut down to what reads an event and cannot do anything else.

What is left of Jinja is its grammar and a list of node kinds: names of the event, fields, constants, comparisons,
arithmetic, and the filters and tests listed here. No call, no attribute of a Python object, no statement. Jinja parses,
and `evaluation` turns the nodes into functions. A plain path such as `data.customer.id` is read directly: it is the
common case.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache, reduce
from operator import attrgetter
from typing import Any, NamedTuple

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import Lexer, Token
from jinja2.parser import Parser

from rules import numbers
from rules.advice.foreign import expression_cure
from rules.errors import ExpressionError, MissingValueError, RenderError
from rules.evaluation import COMPARING_TESTS, TESTS, Evaluate, Names, Path, constant_of, evaluator, path_of, path_reader
from rules.event import MISSING
from rules.explain import step_to
from rules.filters import FILTERS
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
}

MAX_DEPTH = 40
"""How deep an expression may nest: each level is a call when it is evaluated."""

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a pair, as an escape can write it; no encoding can."""

_TESTS = (*TESTS, *COMPARING_TESTS)
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
_BRACES_TOO_MANY = re.compile(r"\s*\{\s*([^{}:,]*[^{}:,\s])\s*\}?\s*")
"""What is left of a placeholder with three braces when two of them are off."""

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
    evaluate: Callable[[Any], Any] = field(repr=False)  # compared: the same text over other names is another one
    """The value for an event. Raises: RenderError, naming what is missing; null is a value, not missing."""
    path: Path | None = None


def compile_expression(text: str, names: Names = EVENT_NAMES) -> Expression:
    """Compile one bare expression. Raises: ExpressionError."""
    try:
        return _of_event(text) if names is EVENT_NAMES else _compiled(text, names)
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


def _compiled(text: str, names: Names) -> Expression:
    shown = " ".join(text.split())
    path: Path | None = tuple(shown.split(".")) if _PLAIN_PATH.fullmatch(text) else None
    if path is None or path[0] not in names or len(path) > MAX_DEPTH:
        tree = _parse(text)
        _check(tree, names, depth=0)
        path = path_of(tree)
    if path is not None:
        return Expression(shown, path_reader(path, names), path)
    return Expression(shown, _reader(evaluator(tree, names), shown))


class _Lexer(Lexer):
    """Jinja's, but 19.95 is the decimal as written, not the float nearest to it."""

    def wrap(
        self, stream: Iterable[tuple[int, str, str]], name: str | None = None, filename: str | None = None
    ) -> Iterator[Token]:
        written = ""

        def noted() -> Iterator[tuple[int, str, str]]:
            nonlocal written
            for line, kind, text in stream:
                written = text
                yield line, kind, text

        for token in super().wrap(noted(), name, filename):
            if token.type == "float":
                value: Any = Decimal(written.replace("_", ""))
                yield Token(token.lineno, token.type, value)
            else:
                yield token


class _Environment(Environment):
    """Jinja's grammar with decimals."""

    def __init__(self) -> None:
        super().__init__(keep_trailing_newline=True)
        self._lexer = _Lexer(self)

    @property
    def lexer(self) -> Lexer:
        return self._lexer


_ENVIRONMENT = _Environment()


def split(text: str) -> Iterator[tuple[int, str, bool]]:
    """The pieces of a text with placeholders: (offset, piece, whether it is the inside of a placeholder).

    Raises: ExpressionError: a placeholder that is not closed, or a statement.
    """
    return _split_at_placeholders(text) if _PLAIN_TEXT.fullmatch(text) else _split_by_jinja(text)


_PLACEHOLDER = r"\{\{(?![-+])([^-+\r\n{}\"'#%](?:[^\r\n{}\"'#%]*[^-+\r\n{}\"'#%])?)\}\}"
_PLAIN_PLACEHOLDER = re.compile(_PLACEHOLDER)
_PLAIN_TEXT = re.compile(rf"(?:[^{{\r\n]|{_PLACEHOLDER})*")
"""A text of one line whose placeholders have no quotes and brackets, as most: Jinja's lexer takes ten times as long."""


def _split_at_placeholders(text: str) -> Iterator[tuple[int, str, bool]]:
    end = 0
    for placeholder in _PLAIN_PLACEHOLDER.finditer(text):
        if placeholder.start() > end:
            yield end, text[end : placeholder.start()], False
        yield placeholder.start(1), placeholder[1], True
        end = placeholder.end()
    if end < len(text):
        yield end, text[end:], False


def _split_by_jinja(text: str) -> Iterator[tuple[int, str, bool]]:
    offset, inside_at, inside = 0, 0, ""
    is_inside = False
    try:
        for _, kind, token in _ENVIRONMENT.lex(text):
            if kind in ("block_begin", "comment_begin", "linestatement_begin"):
                raise ExpressionError(
                    f"{token} is not part of the language", column=offset + 1, hint="{{ a if condition else b }}"
                )
            if kind == "variable_begin":
                is_inside, inside_at, inside = True, offset + len(token), ""
            elif kind == "variable_end":
                is_inside = False
                yield inside_at, inside, True
            elif is_inside:
                inside += token
            else:
                yield offset, token, False
            offset += len(token)
    except TemplateSyntaxError as error:
        cure = expression_cure(text[inside_at:].partition("}}")[0]) if is_inside else ""
        raise ExpressionError(_lowered(error.message), column=offset + 1, hint=cure) from error
    if is_inside:
        raise ExpressionError("this {{ is never closed", column=inside_at - 1)


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
        if in_braces := _BRACES_TOO_MANY.fullmatch(text):
            hint = f"written with two braces on each side: {{{{ {in_braces[1]} }}}}"
        raise ExpressionError(_lowered(error.message), hint=hint) from error
    except RecursionError as error:
        raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels") from error
    except (ValueError, ArithmeticError) as error:  # more digits than Python makes an integer of, or such an exponent
        raise ExpressionError("a number is out of range") from error
    return tree


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
    if node.name != "default" and any(constant_of(argument) is MISSING for argument in arguments):
        raise ExpressionError(f"the arguments of {node.name} are constants")
    try:
        inspect.signature(function).bind(None, *node.args, **{str(word.key): word.value for word in node.kwargs})
    except TypeError as error:
        raise ExpressionError(f"{node.name}: {error}") from None


def _unknown(kind: str, name: str, known: Mapping[str, Any] | tuple[str, ...]) -> ExpressionError:
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
    return ExpressionError(f"there is no {kind} {name!r}", hint=hint)


def _reader(evaluate: Evaluate, shown: str) -> Evaluate:
    def read(scope: Any) -> Any:
        try:
            return evaluate(scope)
        except MissingValueError:
            raise  # the path says it all
        except RenderError as error:
            raise RenderError(f"{shown}: {error}") from None
        except TypeError:
            raise RenderError(f"{shown}: does not go with values of these kinds") from None
        except Exception as error:  # whatever an operator raises for this event's values: the event cannot be trusted
            raise RenderError(f"{shown}: {type(error).__name__}") from None  # its text may hold values

    return read


def _lowered(message: str | None) -> str:
    """A message of Jinja as part of ours, without its offset: the column says that."""
    message = re.sub(r" at \d+$", "", message or "not an expression")
    return message[0].lower() + message[1:].rstrip(".")


def conjuncts(text: str) -> Iterator[tuple[int, str]]:
    """The conditions that `and` joins in an expression, each with its column; the expression itself, if none does.

    `text` is one that was compiled.
    """
    if not isinstance(_parse(text), nodes.And):
        yield _stripped(text, 0)
        return
    offset = begin = depth = 0
    for _, kind, piece in _ENVIRONMENT.lexer.tokeniter(text, None, None, "variable"):
        if kind == "operator":
            depth += (piece in "([{") - (piece in ")]}")
        elif kind == "name" and piece == "and" and depth == 0:
            yield _stripped(text[begin:offset], begin)
            begin = offset + len(piece)
        offset += len(piece)
    yield _stripped(text[begin:], begin)


def _stripped(text: str, offset: int) -> tuple[int, str]:
    return offset + len(text) - len(text.lstrip()) + 1, " ".join(text.split())


def seen_by(text: str, event: Any) -> dict[str, Any]:
    """What an expression reads of an event: the value at each of its paths, MISSING where there is none."""
    seen: dict[str, Any] = {}
    for path in readings_of(text).paths:
        try:
            value = path_reader(path, EVENT_NAMES)(event)
        except RenderError:
            value = MISSING
        seen[reduce(step_to, path[1:], str(path[0]))] = value
    return seen


class Readings(NamedTuple):
    """What an expression reads: its outermost paths, as far as their keys are constants, and the constant texts that it
    compares by order."""

    paths: tuple[tuple[str | int, ...], ...] = ()
    ordered_texts: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def readings_of(text: str) -> Readings:
    """What an expression reads; nothing, of one that is refused."""
    if _PLAIN_PATH.fullmatch(text):
        return Readings((tuple(text.strip().split(".")),))
    try:
        tree = _parse(text)
    except ExpressionError:
        return Readings()
    return Readings(tuple(_paths_below(tree)), tuple(_ordered_texts(tree)))


_PLAIN_PATH = re.compile(r"\s*[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\s*", re.ASCII)


def _paths_below(node: nodes.Node) -> list[tuple[str | int, ...]]:
    path = path_of(node)
    if path is not None:
        return [path]
    return [path for child in node.iter_child_nodes() for path in _paths_below(child)]


def _ordered_texts(tree: nodes.Node) -> Iterator[str]:
    for compare in [tree] if isinstance(tree, nodes.Compare) else tree.find_all(nodes.Compare):
        sides = [compare.expr, *(operand.expr for operand in compare.ops)]
        if all(operand.op in ("gt", "gteq", "lt", "lteq") for operand in compare.ops):
            yield from (side.value for side in sides if isinstance(side, nodes.Const) and isinstance(side.value, str))
