"""JSON and texts whose numbers keep their digits (RFC 8259, section 6).

Floats hold 17 digits and write large and small numbers with an exponent. A number here keeps every digit that a sender
wrote, and is plain decimal as text.
"""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import orjson

MAX_DIGITS = 700
"""Digits before the point or behind it: 1E+999999999 is twelve characters, and a gigabyte when written out."""


def plain(number: int | float | Decimal) -> str:
    """The number as plain decimal text: no exponent, a Decimal with the digits it has (19.90), zero without a sign.

    A float has the digits of its shortest text.

    Raises: ValueError: not finite, or beyond MAX_DIGITS.
    """
    if isinstance(number, float):
        text = repr(number)
        if number and "e" not in text and "n" not in text:  # nan, inf
            return text
        decimal = Decimal(text)
    elif isinstance(number, int):
        if number.bit_length() > _MAX_BITS:
            raise ValueError("is a number too large to write out")
        return str(number)
    else:
        decimal = number
    if not decimal.is_finite():
        raise ValueError("is not a finite number")
    if abs(decimal.adjusted()) > MAX_DIGITS:
        raise ValueError("is a number too large to write out")
    return format(decimal if decimal else decimal.copy_abs(), "f")


def dumps(value: Any, default: Callable[[Any], Any] | None = None, *, wide: bool = False) -> bytes:
    """Compact JSON with plain decimals; `default` makes JSON-like values of others, as in orjson.

    `wide` also writes integers beyond 64 bits, which many readers cannot hold.

    Raises: TypeError: such an integer, half of a surrogate pair, too deep; ValueError: see `plain`.
    """
    try:
        written = _dumps(value, default)
    except TypeError:
        if not wide:
            raise
    else:
        if not _DOUBTFUL.search(written):
            return written
    try:
        return _dumps(_plain_numbers(value, wide=wide), default)
    except RecursionError as error:
        raise TypeError("nested too deep") from error


def loads(body: bytes) -> Any:
    """The value of a JSON text in UTF-8; integers are exact, and a number that no float holds is a Decimal.

    Raises: orjson.JSONDecodeError.
    """
    value = orjson.loads(body)
    if b"0" * _FLOAT_DIGITS not in body.translate(_DIGITS_AS_ZEROS) or not _MAY_ROUND.search(body):
        return value
    text = body.decode()
    try:
        return json.loads(text, parse_float=_float_or_decimal)
    except RecursionError as error:  # orjson takes deeper texts than the slower reader
        raise orjson.JSONDecodeError("nested too deep", text, 0) from error


def loads_as_written(body: bytes) -> Any:
    """As `loads`, and a number that a float has another text of is a Decimal too: 19.90 keeps its zero.

    Raises: ValueError.
    """
    try:
        return json.loads(body, parse_float=_float_or_decimal_as_written)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


_WIDE_BITS = 64
_MAX_BITS = 2400  # more than MAX_DIGITS digits
_FLOAT_DIGITS = 16  # a float holds any number of fewer
_DIGITS_AS_ZEROS = bytes.maketrans(b".123456789", b"0000000000")
_MAY_ROUND = re.compile(
    rb"(?<![0-9.])(?:[0-9]{20}|(?<=-)[0-9]{19}|(?=[0-9.]{%d})[0-9]++(?:\.[0-9]|[eE]))" % _FLOAT_DIGITS
)
"""An integer that may exceed 64 bits, or a fraction of many digits. Each run of digits is looked at once."""

_DOUBTFUL = re.compile(rb"[0-9]e[+-]?[0-9]|-0\.0|null")
"""An exponent, a zero with a sign, or what orjson writes for a number that is not finite; texts may hold both."""


def _float_or_decimal(text: str) -> float | Decimal:
    value = float(text)
    if value == 0 or repr(value) == text:
        return value
    decimal = Decimal(text)
    return value if Decimal(repr(value)) == decimal else decimal


def _float_or_decimal_as_written(text: str) -> float | Decimal:
    value = float(text)
    if repr(value) == text:
        return value
    decimal = Decimal(text)
    return value if Decimal(repr(value)) == decimal and "e" in text.lower() else decimal


def _dumps(value: Any, default: Callable[[Any], Any] | None) -> bytes:
    def plain_or_default(value: Any) -> Any:
        if isinstance(value, Decimal):
            return orjson.Fragment(plain(value))
        if default is None:
            raise TypeError(f"{type(value).__name__} has no JSON")
        return default(value)

    try:
        return orjson.dumps(value, default=plain_or_default)
    except TypeError as error:
        if isinstance(error.__cause__, ValueError):  # orjson says only that a default failed
            raise error.__cause__ from None
        raise


def _plain_numbers(value: Any, *, wide: bool) -> Any:
    match value:
        case float():
            return orjson.Fragment(plain(value))
        case int() if wide and value.bit_length() >= _WIDE_BITS:
            return orjson.Fragment(plain(value))
        case dict() | Mapping():
            return {key: _plain_numbers(entry, wide=wide) for key, entry in value.items()}
        case list() | tuple():
            return [_plain_numbers(item, wide=wide) for item in value]
        case _:
            return value
