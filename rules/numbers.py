"""Numbers of events and rules: int, float and Decimal mean one thing.

A number is the decimal value of its shortest text, exactly: the float 19.95 is 19.95 and equals the Decimal 19.95.
`true` is no number. Patterns, expressions, filters and texts all ask here, so they cannot disagree.

Sums, differences and products are exact. A quotient has 28 significant digits, half of the last one to the even digit.
`//` and `%` round down, as for Python's integers. No result is beyond 308 digits before the point and 700 behind it.
"""

import decimal
from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from math import isfinite
from typing import Any, TypeGuard

from hub.exact_json import MAX_DIGITS
from rules.errors import RenderError
from rules.text import text_of

Number = int | float | Decimal

MAX_EXPONENT = 308
"""The largest power of ten that is a number: what a float reaches, and what a JSON text may hold."""

EXACT_FLOATS = 2**53
"""Up to here an integer compares with a float as with the float's decimal value: the integer is a float itself."""


def is_number(value: Any) -> TypeGuard[Number]:
    """Whether a value is a number; a truth value is none."""
    return isinstance(value, (int, float, Decimal)) and value is not True and value is not False


def is_finite(number: Number) -> bool:
    """Whether a number is one: a header of a broker may hold NaN or an infinity."""
    match number:
        case float():
            return isfinite(number)
        case Decimal():
            return number.is_finite()
        case _:
            return True


def exact(number: Number) -> int | Decimal:
    """The number as the integer or the decimal that it means. Raises: RenderError: it is not finite."""
    if not is_finite(number):
        raise RenderError("is not a finite number")
    return Decimal(repr(number)) if isinstance(number, float) else number


def number_of(value: Any) -> int | Decimal:
    """The number that a number or a text is. Raises: RenderError."""
    try:
        number = exact(value) if is_number(value) else Decimal(text_of(value).strip())
    except InvalidOperation:
        raise RenderError("is not a number") from None
    if not is_finite(number):
        raise RenderError("is not a finite number")
    if abs(number.adjusted() if isinstance(number, Decimal) else 0) > MAX_EXPONENT:
        raise RenderError("is a number too large to write out")
    return number


def equal(left: Any, right: Any) -> bool:
    """Whether two values of an event are equal: numbers by what they mean, lists and objects by their elements.

    Values of different kinds are not equal, and neither is a number that is not finite.
    """
    kind = type(left)
    if kind is type(right) and kind in _COMPARED_AS_THEY_ARE:
        return bool(left == right)
    if is_number(left):
        return is_number(right) and is_finite(left) and is_finite(right) and exact(left) == exact(right)
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, Mapping):
        return (
            isinstance(right, Mapping)
            and left.keys() == right.keys()
            and all(equal(value, right[key]) for key, value in left.items())
        )
    return kind is type(right) and bool(left == right)


def contains(container: Any, item: Any) -> bool:
    """Whether a text holds a text, a list an equal element, an object a key. Raises: TypeError."""
    if isinstance(container, list):
        return any(equal(element, item) for element in container)
    if isinstance(container, (str, Mapping)):
        return item in container
    raise TypeError


def ordered(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    """What `compare` (`operator.lt`, ...) says of two numbers, texts or lists. Raises: TypeError, RenderError."""
    if is_number(left) and is_number(right):
        return compare(exact(left), exact(right))
    if isinstance(left, str) and isinstance(right, str):
        return compare(left, right)
    if isinstance(left, list) and isinstance(right, list):
        for first, second in zip(left, right, strict=False):
            if not equal(first, second):
                return ordered(compare, first, second)
        return compare(len(left), len(right))
    raise TypeError


def add(left: Any, right: Any) -> Any:
    """A sum; texts and lists are joined. Raises: TypeError, RenderError."""
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        return left + right
    return _calculated(int.__add__, _EXACT.add, left, right)


def subtract(left: Any, right: Any) -> Any:
    """Raises: TypeError, RenderError."""
    return _calculated(int.__sub__, _EXACT.subtract, left, right)


def multiply(left: Any, right: Any) -> Any:
    """Raises: TypeError, RenderError."""
    _refuse_repetition("*", left, right)
    return _calculated(int.__mul__, _EXACT.multiply, left, right)


def divide(left: Any, right: Any) -> Any:
    """Raises: TypeError, ZeroDivisionError, RenderError."""
    return _calculated(_whole_quotient, _ROUNDED.divide, left, right, divides=True)


def floor_divide(left: Any, right: Any) -> Any:
    """Raises: TypeError, ZeroDivisionError, RenderError."""
    return _calculated(int.__floordiv__, lambda a, b: _floored(a, b)[0], left, right, divides=True)


def modulo(left: Any, right: Any) -> Any:
    """Raises: TypeError, ZeroDivisionError, RenderError."""
    _refuse_repetition("%", left, right)
    return _calculated(int.__mod__, lambda a, b: _floored(a, b)[1], left, right, divides=True)


def negative(value: Any) -> int | Decimal:
    """Raises: TypeError, RenderError."""
    number = positive(value)
    return -number if isinstance(number, int) else number.copy_negate()


def positive(value: Any) -> int | Decimal:
    """Raises: TypeError, RenderError."""
    if not is_number(value):
        raise TypeError
    return exact(value)


def rounded(number: int | Decimal, digits: int, method: str = "common") -> int | Decimal:
    """The number with so many digits behind the point, a negative count before it.

    `common` takes half of the last digit to the even one, `ceil` up, `floor` down. An integer stays one.

    Raises: RenderError.
    """
    if method not in _ROUNDINGS:
        raise RenderError("is rounded by common, ceil or floor only")
    if abs(digits) > MAX_DIGITS:
        raise RenderError(f"is rounded to up to {MAX_DIGITS} digits")
    if isinstance(number, int) and digits >= 0:
        return number
    unit = Decimal((0, (1,), -digits))
    result = Decimal(number).quantize(unit, _ROUNDINGS[method], PRECISE)
    return int(result) if isinstance(number, int) else result


def bounded(number: int | Decimal) -> int | Decimal:
    """The number, if it has a plain text of a bounded length. Raises: RenderError."""
    if isinstance(number, int):
        if abs(number) < _TOO_LARGE:
            return number
    elif not number:
        return number if abs(number.adjusted()) <= MAX_DIGITS else 0
    elif -MAX_DIGITS <= number.adjusted() <= MAX_EXPONENT:
        return number
    raise RenderError("a number is out of range")


_COMPARED_AS_THEY_ARE = frozenset((str, int, bool, type(None), float))
"""Two floats are equal, and in the same order, as the numbers that their shortest texts say."""

_TOO_LARGE = 10 ** (MAX_EXPONENT + 1)
_ROUNDINGS: Mapping[str, str] = {"common": ROUND_HALF_EVEN, "ceil": ROUND_CEILING, "floor": ROUND_FLOOR}

_DIGITS = 2 * (MAX_EXPONENT + MAX_DIGITS)  # of a product of any two numbers in range
_ERRORS: list[Any] = [decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow]
_EXACT = Context(prec=_DIGITS, traps=[*_ERRORS, decimal.Inexact])
PRECISE = Context(prec=_DIGITS, traps=_ERRORS)
_ROUNDED = Context(prec=28, rounding=ROUND_HALF_EVEN, traps=_ERRORS)


def _calculated(
    of_integers: Callable[[int, int], Any],
    of_decimals: Callable[[Any, Any], Any],
    left: Any,
    right: Any,
    *,
    divides: bool = False,
) -> int | Decimal:
    first, second = positive(left), positive(right)
    if divides and not second:
        raise ZeroDivisionError
    try:
        result = None
        if isinstance(first, int) and isinstance(second, int):
            result = of_integers(first, second)
        return bounded(of_decimals(first, second) if result is None else result)
    except (decimal.InvalidOperation, decimal.Overflow, decimal.Inexact):
        raise RenderError("a number is out of range") from None


def _whole_quotient(left: int, right: int) -> int | None:
    quotient, rest = divmod(left, right)
    return None if rest else quotient


def _floored(left: int | Decimal, right: int | Decimal) -> tuple[Decimal, Decimal]:
    quotient, rest = PRECISE.divmod(Decimal(left), Decimal(right))  # towards zero
    if rest and rest.is_signed() != Decimal(right).is_signed():
        return _EXACT.subtract(quotient, 1), _EXACT.add(rest, right)
    return quotient, rest


def _refuse_repetition(sign: str, left: Any, right: Any) -> None:
    """Repeating or formatting text could fill the memory."""
    if isinstance(left, str | list) or isinstance(right, str | list):
        raise RenderError(f"{sign} is for numbers")
