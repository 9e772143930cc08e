"""The filter language of subscriptions, a part of SQL-92 with its three-valued logic.

Standard behind it: Microsoft, "Subscription Rule SQL Filter Syntax". A text is parsed once into functions of a
message; None stands for unknown, in values and in conditions.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

from sandbox.servicebus.amqp.types import Timestamp
from sandbox.servicebus.content import Content
from sandbox.servicebus.errors import FilterError
from sandbox.servicebus.rules.tokens import Token, tokens_of

Value = Callable[[Content], Any]
"""What an expression is worth for a message; None where it is unknown."""

MAX_LENGTH = 1024
"""Characters of a condition."""

SYSTEM_PROPERTIES = {
    "contenttype": "content-type",
    "correlationid": "correlation-id",
    "label": "subject",
    "messageid": "message-id",
    "replyto": "reply-to",
    "replytosessionid": "reply-to-group-id",
    "sessionid": "group-id",
    "subject": "subject",
    "to": "to",
}
"""Names behind `sys.`, lower case, and what the standard calls them."""

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def parse_filter(text: str, parameters: Mapping[str, Any]) -> Value:
    """The condition that `text` writes; its function returns True, False or None.

    Raises: FilterError.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(f"a filter has up to {MAX_LENGTH} characters", column=MAX_LENGTH + 1)
    parser = Parser(text, parameters)
    condition = parser.condition()
    parser.expect_end()
    return condition


class Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str, parameters: Mapping[str, Any]) -> None:
        self._tokens = tokens_of(text)
        self._parameters = {name.removeprefix("@").lower(): value for name, value in parameters.items()}
        self._index = 0
        self._depth = 0

    def condition(self) -> Value:
        """Alternatives, the weakest binding."""
        left = self._conjunction()
        while self.takes("OR"):
            left = _either(left, self._conjunction())
        return left

    def value(self) -> Value:
        """A sum of terms."""
        left = self._term()
        while (symbol := self._takes_any("+", "-")) is not None:
            left = _arithmetic(symbol, left, self._term())
        return left

    def name(self) -> str:
        """The name of a property of the sender, scope left out. Raises: FilterError."""
        token = self._next()
        if token.is_name("sys") and self._peek().text == ".":
            raise FilterError("a property of the system cannot be used here", column=token.column)
        if token.is_name("user") and self.takes("."):
            token = self._next()
        if token.kind not in ("name", "quoted"):
            raise FilterError(f"a property is expected, not {token.text!r}", column=token.column)
        return token.text

    def takes(self, text: str) -> bool:
        """Whether the next token is this keyword or sign, which is passed then."""
        if not self._peek().is_(text):
            return False
        self._index += 1
        return True

    def expect(self, text: str) -> None:
        """Pass this keyword or sign. Raises: FilterError: something else is there."""
        token = self._peek()
        if not self.takes(text):
            raise FilterError(f"{text} is expected, not {token.text or 'the end'!r}", column=token.column)

    def at_end(self) -> bool:
        """Whether all tokens are used up."""
        return self._peek().kind == "end"

    def expect_end(self) -> None:
        """Raises: FilterError: something is left."""
        token = self._peek()
        if token.kind != "end":
            raise FilterError(f"{token.text!r} is left over", column=token.column)

    def _conjunction(self) -> Value:
        left = self._negation()
        while self.takes("AND"):
            left = _both(left, self._negation())
        return left

    def _negation(self) -> Value:
        self._depth += 1
        if self._depth > 100:
            raise FilterError("the filter is nested too deeply", column=self._peek().column)
        condition = _not(self._negation()) if self.takes("NOT") else self._predicate()
        self._depth -= 1
        return condition

    def _predicate(self) -> Value:
        """A comparison, or one of the tests that SQL has words for; a bare value is a condition if it is a boolean."""
        if self.takes("EXISTS"):
            self.expect("(")
            found = self._property()
            self.expect(")")
            return lambda content: found(content) is not None
        left = self.value()
        for sign, compare in _COMPARISONS.items():
            if self.takes(sign):
                return _comparison(compare, left, self.value())
        if self.takes("IS"):
            negated = self.takes("NOT")
            self.expect("NULL")
            return lambda content: (left(content) is None) is not negated
        negated = self.takes("NOT")
        if self.takes("IN"):
            test = self._in(left)
        elif self.takes("LIKE"):
            test = self._like(left)
        elif negated:
            raise FilterError("IN or LIKE is expected", column=self._peek().column)
        else:
            return left
        return _not(test) if negated else test

    def _in(self, left: Value) -> Value:
        self.expect("(")
        members = [self.value()]
        while self.takes(","):
            members.append(self.value())
        self.expect(")")
        test = _comparison(operator.eq, left, members[0])
        for member in members[1:]:
            test = _either(test, _comparison(operator.eq, left, member))
        return test

    def _like(self, left: Value) -> Value:
        pattern = self.value()
        escape = self.value() if self.takes("ESCAPE") else _constant(None)

        def test(content: Content) -> bool | None:
            text, like, sign = left(content), pattern(content), escape(content)
            if not isinstance(text, str) or not isinstance(like, str):
                return None
            return re.fullmatch(_regex(like, sign), text, re.DOTALL) is not None

        return test

    def _term(self) -> Value:
        left = self._factor()
        while (symbol := self._takes_any("*", "/", "%")) is not None:
            left = _arithmetic(symbol, left, self._factor())
        return left

    def _factor(self) -> Value:
        self._depth += 1
        if self._depth > 100:
            raise FilterError("the filter is nested too deeply", column=self._peek().column)
        try:
            if self.takes("-"):
                return _arithmetic("-", _constant(0), self._factor())
            if self.takes("+"):
                return self._factor()
            if self.takes("("):
                inner = self.condition()
                self.expect(")")
                return inner
            return self._constant_or_property()
        finally:
            self._depth -= 1

    def _constant_or_property(self) -> Value:
        token = self._peek()
        if token.kind in ("string", "number"):
            self._index += 1
            return _constant(token.value)
        if token.kind == "parameter":
            self._index += 1
            if token.text.lower() not in self._parameters:
                raise FilterError(f"the parameter @{token.text} has no value", column=token.column)
            return _constant(self._parameters[token.text.lower()])
        for word, value in (("TRUE", True), ("FALSE", False), ("NULL", None)):
            if self.takes(word):
                return _constant(value)
        return self._function() or self._property()

    def _function(self) -> Value | None:
        name, follower = self._peek(), self._tokens[min(self._index + 1, len(self._tokens) - 1)]
        if name.kind != "name" or follower.text != "(" or follower.kind != "sign":
            return None
        self._index += 2
        match name.text.lower():
            case "newid":
                self.expect(")")
                return lambda content: uuid4()
            case "property" | "p":
                of = self.value()
                self.expect(")")
                return lambda content: content.application_properties.get(str(of(content)))
        raise FilterError(f"there is no function {name.text!r}", column=name.column)

    def _property(self) -> Value:
        token = self._peek()
        if token.is_name("sys") and self._tokens[self._index + 1].text == ".":
            self._index += 2
            system = self._next()
            key = SYSTEM_PROPERTIES.get(system.text.lower())
            if key is None:
                raise FilterError(f"a message has no system property {system.text!r}", column=system.column)
            return lambda content: content.properties.get(key)
        name = self.name()
        return lambda content: content.application_properties.get(name)

    def _peek(self) -> Token:
        return self._tokens[self._index]

    def _next(self) -> Token:
        token = self._tokens[self._index]
        self._index = min(self._index + 1, len(self._tokens) - 1)
        return token

    def _takes_any(self, *signs: str) -> str | None:
        return next((sign for sign in signs if self.takes(sign)), None)


def _constant(value: Any) -> Value:
    return lambda content: value


def _not(condition: Value) -> Value:
    def negate(content: Content) -> bool | None:
        value = condition(content)
        return not value if isinstance(value, bool) else None

    return negate


def _both(left: Value, right: Value) -> Value:
    def both(content: Content) -> bool | None:
        sides = left(content), right(content)
        if False in sides:
            return False
        return True if sides == (True, True) else None

    return both


def _either(left: Value, right: Value) -> Value:
    def either(content: Content) -> bool | None:
        sides = left(content), right(content)
        if True in sides:
            return True
        return False if sides == (False, False) else None

    return either


def _comparison(compare: Callable[[Any, Any], bool], left: Value, right: Value) -> Value:
    ordered = compare not in (operator.eq, operator.ne)

    def test(content: Content) -> bool | None:
        one, other = left(content), right(content)
        kind = _kind(one)
        if kind is None or kind != _kind(other) or (ordered and kind in ("boolean", "uuid", "binary")):
            return None
        return compare(one, other)

    return test


def _arithmetic(symbol: str, left: Value, right: Value) -> Value:
    def calculate(content: Content) -> Any:
        one, other = left(content), right(content)
        if symbol == "+" and isinstance(one, str) and isinstance(other, str):
            return one + other
        if _kind(one) != "number" or _kind(other) != "number":
            return None
        return _calculated(symbol, one, other)

    return calculate


def _calculated(symbol: str, one: float, other: float) -> float | None:
    """As SQL does it: whole numbers divide to whole numbers, towards zero; what has no result is unknown."""
    try:
        match symbol:
            case "+":
                return one + other
            case "-":
                return one - other
            case "*":
                return one * other
            case "/":
                return _quotient(one, other)
            case _:
                return one - other * int(_quotient(one, other))
    except (ZeroDivisionError, OverflowError, ValueError):
        return None


def _quotient(one: float, other: float) -> float:
    if not (isinstance(one, int) and isinstance(other, int)):
        return one / other
    quotient = abs(one) // abs(other)
    return quotient if (one < 0) == (other < 0) else -quotient


def _kind(value: Any) -> str | None:
    """What a value can be compared with; None for what cannot."""
    for types, kind in (
        (bool, "boolean"),
        (Timestamp, "timestamp"),
        ((int, float), "number"),
        (str, "text"),
        (UUID, "uuid"),
        (bytes, "binary"),
    ):
        if isinstance(value, types):
            return kind
    return None


def _regex(pattern: str, escape: Any) -> str:
    """A LIKE pattern as a regular expression: `%` is anything, `_` one character."""
    parts = []
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            parts.append(re.escape(next(characters, "")))
        elif character == "%":
            parts.append(".*")
        elif character == "_":
            parts.append(".")
        else:
            parts.append(re.escape(character))
    return "".join(parts)
