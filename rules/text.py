"""How a value of an event is spelled as text."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

import orjson

from rules.errors import RenderError
from rules.event import Opaque

_MAX_EXPONENT = 100
"""A decimal such as 1E+999999999 is nine characters of input and a gigabyte when written out."""


def text_of(value: Any) -> str:
    """Numbers and booleans as JSON spells them, decimals never with an exponent, lists and objects as JSON.

    Raises: RenderError: null has no text (`default` gives it one), and neither has what JSON cannot hold.
    """
    if type(value) is str:
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not isfinite(value):  # no body holds one, but a header of AMQP may
            raise RenderError("is not a finite number")
        return str(value)
    if isinstance(value, Decimal):
        return _decimal_text(value)
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Mapping | list | tuple):
        return json_of(value).decode()
    if value is None:
        raise RenderError("is null")
    if isinstance(value, Opaque):
        raise RenderError(f"is {value.kind}, which is not read")
    return str(value)


def json_of(value: Any) -> bytes:
    """Compact JSON; decimals, which it has no type for, become numbers where a float holds them exactly, else text.

    A number that is not finite is null within a list or an object.

    Raises: RenderError.
    """
    try:
        return orjson.dumps(value, default=_plain)
    except TypeError as error:  # an integer beyond 64 bits, half a surrogate pair, too deep
        raise RenderError("cannot be written as JSON") from error


def rfc3339(time: datetime) -> str:
    """An aware time in UTC, with `Z` (RFC 3339); texts of whole seconds compare like the times they stand for."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _decimal_text(value: Decimal) -> str:
    if not value.is_finite() or abs(value.adjusted()) > _MAX_EXPONENT:
        raise RenderError("is a number too large to write out")
    return format(value, "f")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    text = text_of(value)
    if isinstance(value, Decimal) and Decimal(repr(float(value))) == value:
        return float(value)
    return text
