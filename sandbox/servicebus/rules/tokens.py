"""The words, signs and constants of a SQL filter."""

import re
from typing import Any, NamedTuple

from sandbox.servicebus.errors import FilterError


class Token(NamedTuple):
    """A piece of the text; `column` counts from 1, `value` is what a constant is worth."""

    kind: str
    text: str
    column: int
    value: Any = None

    def is_(self, text: str) -> bool:
        """Whether it is this keyword, in any case, or this sign."""
        return (self.kind == "name" and self.text.upper() == text) or (self.kind == "sign" and self.text == text)

    def is_name(self, text: str) -> bool:
        """Whether it is this name, in any case."""
        return self.kind == "name" and self.text.lower() == text


_PATTERN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^']|'')*')
    | (?P<number>0[xX][0-9a-fA-F]+ | (?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<bracketed>\[(?:[^\]]|\]\])+\])
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<parameter>@\w+)
    | (?P<name>[^\W\d]\w*)
    | (?P<sign><>|!=|<=|>=|[=<>+\-*/%(),.;])
    )""",
    re.VERBOSE,
)


def tokens_of(text: str) -> list[Token]:
    """All tokens and one of the kind `end`.

    Raises: FilterError.
    """
    tokens = []
    position = 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _PATTERN.match(stripped, position)
        if match is None:
            column = position + len(stripped[position:]) - len(stripped[position:].lstrip()) + 1
            raise FilterError(f"{stripped[column - 1 :][:20]!r} cannot be read", column=column)
        tokens.append(_token(match))
        position = match.end()
    return [*tokens, Token("end", "", len(text) + 1)]


def _token(match: re.Match[str]) -> Token:
    kind = str(match.lastgroup)
    text = match[kind]
    column = match.start(kind) + 1
    match kind:
        case "string":
            return Token(kind, text, column, text[1:-1].replace("''", "'"))
        case "number":
            return Token(kind, text, column, _number(text))
        case "bracketed":
            return Token("quoted", text[1:-1].replace("]]", "]"), column)
        case "quoted":
            return Token(kind, text[1:-1].replace('""', '"'), column)
        case "parameter":
            return Token(kind, text[1:], column)
    return Token(kind, text, column)


def _number(text: str) -> int | float:
    if text[:2].lower() == "0x":
        return int(text, 16)
    return int(text) if text.isdigit() else float(text)
