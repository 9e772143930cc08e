"""The grammar of expressions and placeholders: Jinja's. It parses; nothing of it stays and nothing of it runs."""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import Lexer, Token
from jinja2.parser import Parser

from rules.advice.foreign import expression_cure
from rules.errors import ExpressionError

_BRACES_TOO_MANY = re.compile(r"\s*\{\s*([^{}:,]*[^{}:,\s])\s*\}?\s*")
"""What is left of a placeholder with three braces when two of them are off."""

MAX_DEPTH = 40
"""How deep an expression may nest: each level is a call when it is evaluated."""

MAX_LENGTH = 10_000
"""Characters of an expression: to refuse a longer one for what is in it takes seconds."""


class _Lexer(Lexer):
    """Jinja's, but 19.95 is the decimal as written, not the float nearest to it, and the `lineno` of a token is its
    offset in the text: an expression is short, and what fails in it is shown by its column."""

    def wrap(
        self, stream: Iterable[tuple[int, str, str]], name: str | None = None, filename: str | None = None
    ) -> Iterator[Token]:
        offset, written = 0, ""

        def noted() -> Iterator[tuple[int, str, str]]:
            nonlocal offset, written
            for _, kind, text in stream:
                offset += len(written)
                written = text
                yield offset, kind, text

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


_LONE_QUOTE = re.compile(r"unexpected char (?:\"(')\"|'(\")') at \d+")


def parse(text: str) -> nodes.Expr:
    """The nodes of a bare expression; their `lineno` is an offset in `text`. Raises: ExpressionError."""
    if not text.strip():
        raise ExpressionError("the expression is empty")
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the expression has {len(text):,} characters, and may have {MAX_LENGTH:,}")
    try:
        parser = Parser(_ENVIRONMENT, text, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise ExpressionError(f"expected the end, found {str(parser.stream.current)!r}")
    except TemplateSyntaxError as error:
        hint = "written bare, without {{ }}" if text.lstrip().startswith("{{") else ""
        if in_braces := _BRACES_TOO_MANY.fullmatch(text):
            hint = f"written with two braces on each side: {{{{ {in_braces[1]} }}}}"
        if (quote := _LONE_QUOTE.fullmatch(error.message or "")) is not None:
            hint = f"the {quote[1]} that opens a text is never closed"
        raise ExpressionError(_lowered(error.message), hint=hint) from error
    except RecursionError as error:
        raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels") from error
    except (ValueError, ArithmeticError) as error:  # more digits than Python makes an integer of, or such an exponent
        raise ExpressionError("a number is out of range") from error
    return tree


def split(text: str) -> Iterator[tuple[int, str, bool]]:
    """The pieces of a text with placeholders: (offset, piece, whether it is the inside of a placeholder).

    Raises: ExpressionError: a placeholder that is not closed, or a statement.
    """
    if _PLAIN_TEXT.fullmatch(text):
        return _split_at_placeholders(text)
    if len(text) > MAX_LENGTH and (opened := text.rfind("{{")) > text.rfind("}}"):  # the lexer would take a second
        raise ExpressionError("this {{ is never closed", column=opened + 1)
    return _split_by_jinja(text)


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
        if not cure and "'}'" in str(error.message):
            cure = "a placeholder ends with two braces: {{ data.x }}"
        raise ExpressionError(_lowered(error.message), column=offset + 1, hint=cure) from error
    if is_inside:
        raise ExpressionError("this {{ is never closed", column=inside_at - 1)


def _lowered(message: str | None) -> str:
    """A message of Jinja as part of ours, without its offset: the column says that."""
    message = re.sub(r" at \d+$", "", message or "not an expression")
    return message[0].lower() + message[1:].rstrip(".")
