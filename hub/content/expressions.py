"""Expressions in templates (Notification Hubs, "Templates", "Template expression language").

    value     := literal text | single | composite
    single    := term ( '+' term )*                     its first character is one of $ . % #
    composite := '{' term ( '+' term )* '}'
    term      := function | "'" text "'" | '"' text '"'           a quote is doubled to stand in its text
    function  := ('$' | '.' | '%' | '#') '(' name [ ':{' default '}' ] [ ',' length ] ')'

A text is an expression as a whole or not at all: `Hello $(name)` is sent as it stands, `{'Hello ' + $(name)}` is not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import quote

from hub.errors import FilledTooLargeError, TemplateError

EXPRESSION_BEGINS = frozenset("$.%#{")
"""A text that begins with another character is a literal."""

MAX_FILLED = 16 * 1024
"""What a template may come to, in bytes or characters; services take 5,120 at most."""

_SHOWN = 200
"""Characters of a wrong expression that a complaint quotes."""

_FUNCTION = re.compile(
    r"""(?P<sigil>[$.%\#]) \( \s* (?P<name>[A-Za-z0-9_]{1,120}) \s*
        (?: :\{ (?P<default>(?:\\.|[^\\}])*) \} \s* )?
        (?: , \s* (?P<length>[0-9]{1,9}) \s* )? \)""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_SPACE = re.compile(r"\s*")
_SHORTEST_TERM = 3
_ELLIPSIS = "..."


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted text inside an expression."""

    text: str

    def evaluate(self, values: Mapping[str, str]) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Property:
    """A property of the message: `$` as it is or its first `length` characters, `.` clipped with an ellipsis,
    `%` percent-encoded, `#` to be written as a number. `name` is in lower case; characters are Unicode code points.
    `default` None, which is empty too, says that the author counts on the property.
    """

    sigil: str
    name: str
    default: str | None = None
    length: int | None = None

    def evaluate(self, values: Mapping[str, str]) -> str:
        value = values.get(self.name, self.default or "")
        if len(value) > MAX_FILLED and (self.length is None or self.length > MAX_FILLED):
            raise FilledTooLargeError  # before it is encoded: the same value may stand in a template hundreds of times
        if self.sigil == "%":
            return quote(value, safe="")
        if self.length is None or len(value) <= self.length:
            return value
        if self.sigil == ".":
            return value[: max(self.length - len(_ELLIPSIS), 0)] + _ELLIPSIS[: self.length]
        return value[: self.length]


@dataclass(frozen=True, slots=True)
class Expression:
    """Terms joined; `is_number` for `#(p)`, which is always alone."""

    terms: tuple[Text | Property, ...]
    is_number: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The properties used, in lower case."""
        return frozenset(term.name for term in self.terms if isinstance(term, Property))

    @property
    def needed(self) -> frozenset[str]:
        """Those of `names` that have no default in some term."""
        return frozenset(term.name for term in self.terms if isinstance(term, Property) and term.default is None)

    def evaluate(self, values: Mapping[str, str]) -> str:
        """The text for these properties, whose names are in lower case; a missing one is its default, else empty.

        Raises: FilledTooLargeError: longer than MAX_FILLED.
        """
        if len(self.terms) == 1:
            return self.terms[0].evaluate(values)
        texts: list[str] = []
        size = 0
        for term in self.terms:
            texts.append(term.evaluate(values))
            size += len(texts[-1])
            if size > MAX_FILLED:
                raise FilledTooLargeError
        return "".join(texts)


def parse_value(text: str, *, where: str) -> str | Expression:
    """The expression in `text`, or `text` itself when it is a literal; `where` names its place for the complaint.

    Raises: TemplateError: `text` begins like an expression and is none.
    """
    if not text or text[0] not in EXPRESSION_BEGINS:
        return text
    return _Parser(text, where).value()


class _Parser:
    def __init__(self, text: str, where: str) -> None:
        self._text = text
        self._where = where
        self._is_composite = text[0] == "{"
        self._at = 1 if self._is_composite else 0
        self._end = len(text)

    def value(self) -> Expression:
        if self._is_composite:
            if not self._text.endswith("}"):
                self._fail("it begins with { and does not end with }")
            self._end -= 1
        terms = [self._term()]
        while self._take_plus():
            terms.append(self._term())
        if self._at < self._end:
            self._fail(f"expected + before {_shown(self._text[self._at : self._end])}")
        is_number = any(isinstance(term, Property) and term.sigil == "#" for term in terms)
        if is_number and (self._is_composite or len(terms) > 1):
            self._fail("#(…) stands alone, it cannot be joined with other terms")
        return Expression(tuple(terms), is_number)

    def _term(self) -> Text | Property:
        self._skip_space()
        # The service's own validator counts what is left, so {''} is refused although {'' + $(p)} is not.
        if self._end - self._at < _SHORTEST_TERM:
            rest = self._text[self._at : self._end]
            self._fail(f"expected $(property) or a 'text', found {_shown(rest) if rest else 'the end'}")
        if self._text[self._at] in "'\"":
            quoted = _QUOTED.match(self._text, self._at, self._end)
            if quoted is None:
                self._fail("a text is not closed by its quote")
            self._at = quoted.end()
            mark = quoted[0][0]
            return Text(quoted[0][1:-1].replace(mark * 2, mark))
        return self._property()

    def _property(self) -> Property:
        function = _FUNCTION.match(self._text, self._at, self._end)
        if function is None:
            self._fail(self._why_no_property())
        sigil, length = function["sigil"], function["length"]
        if length is not None and sigil in "%#":
            self._fail(f"{sigil}(…) takes no length")
        if length is None and sigil == ".":
            self._fail(".(…) needs a length, as in .(property, 20)")
        self._at = function.end()
        return Property(
            sigil,
            function["name"].lower(),
            None if function["default"] is None else function["default"].replace(r"\}", "}"),
            None if length is None else int(length),
        )

    def _why_no_property(self) -> str:
        rest = self._text[self._at : self._end]
        if rest.startswith("$body"):
            return "$body is reserved"
        if rest[0] not in "$.%#":
            return f"expected $(property) or a 'text', found {_shown(rest)}"
        if rest[1] != "(":
            return f"expected ( right after {rest[0]}"
        if ")" not in rest:
            return "expected )"
        return f"expected {rest[0]}(property), where a property is 1 to 120 of A-Z a-z 0-9 _, found {_shown(rest)}"

    def _take_plus(self) -> bool:
        after_term = self._at
        self._skip_space()
        if self._at < self._end and self._text[self._at] == "+":
            self._at += 1
            return True
        if not self._is_composite:
            self._at = after_term  # only braces make room for space at the end
        return False

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._at, self._end)
        if space is not None:
            self._at = space.end()

    def _fail(self, message: str) -> NoReturn:
        raise TemplateError(
            f"{self._where[:_SHOWN]}: {_shown(self._text)} is no expression: {message}. Text that begins with $ . % # or {{"
            " has to be one; a space before it sends it as it stands",
            where=self._where,
        )


def _shown(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}… of {len(text)} characters"
