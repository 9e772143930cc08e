"""What the texts of a body mean, as `types` says: XML and the groups of a pattern have nothing but text."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Any

from bridge.decode.base import ValueType
from bridge.errors import EventError, Reason
from hub.times import is_no_time, parse_day, parse_time
from rules.text import rfc3339

_MAX_EXPONENT = 308
"""The largest power of ten of a number, as in JSON (`rules.numbers`)."""


class TypedText:
    """Reads texts as a type of `types`; a time without an offset is in `timezone`."""

    def __init__(self, kind: ValueType, timezone: tzinfo = UTC) -> None:
        self._kind = kind
        self._timezone = timezone
        self._read: Callable[[str], Any] = {"datetime": self._datetime, "date": self._date}.get(kind) or _READ[kind]

    def __call__(self, name: str, text: str) -> Any:
        """The value; an empty text is null, and so is a date of zeros. Raises: EventError, which names `name`."""
        text = text.strip()
        if not text:
            return None
        try:
            return self._read(text)
        except ValueError as error:
            detail = str(error) if self._kind in ("datetime", "date") else self._other_form(text)
            # Not chained: the message of a failed conversion quotes the value.
            raise EventError(
                Reason.DECODE, f"{name} is not of the type {self._kind}{detail and f' ({detail})'}"
            ) from None

    def _other_form(self, text: str) -> str:
        """What the type reads, or the one that reads the number as it is written, never the text itself; empty if none
        does, or if the comma may stand between thousands."""
        if self._kind == "bool":
            return "true, false, 1 and 0 are read"
        if self._kind == "int" and _is_read(_decimal, text):
            return "it has a fraction or an exponent, which decimal reads"
        if self._kind not in ("decimal", "float", "int") or "," not in text or re.fullmatch(r"[^,]*,[0-9]{3}", text):
            return ""
        return "it has a decimal comma, which decimal_comma reads" if _is_read(_decimal_comma, text) else ""

    def _datetime(self, text: str) -> str | None:
        """RFC 3339 text in UTC: data stays JSON-like."""
        if is_no_time(text):
            return None
        return rfc3339(parse_time(text, self._timezone))

    def _date(self, text: str) -> str | None:
        return None if is_no_time(text) else parse_day(text, self._timezone).isoformat()


_SCIENTIFIC = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"


def _decimal(text: str) -> Decimal:
    """With an exponent too, as `toString` of Java's and .NET's decimals writes large and small ones."""
    value = Decimal(_number(_SCIENTIFIC, text))
    if value and abs(value.adjusted()) > _MAX_EXPONENT:
        raise ValueError("out of range")
    return value


def _is_read(read: Callable[[str], Any], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _decimal_comma(text: str) -> Decimal:
    """As people of most of Europe write it: 1.234,50. Between thousands may be a point, a blank or an apostrophe."""
    text = re.sub(r"(?<=[0-9])[.'’ \u00a0\u202f](?=[0-9]{3}(?![0-9]))", "", text)
    return Decimal(_number(r"[0-9]+(,[0-9]+)?|,[0-9]+", text).replace(",", "."))


def _int(text: str) -> int:
    return int(_number("[0-9]+", text))


def _float(text: str) -> float:
    value = float(_number(_SCIENTIFIC, text))
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value


def _bool(text: str) -> bool:
    """In any case: .NET writes `True`."""
    return _lexical("true|false|1|0", text.lower()) in ("true", "1")


def _number(digits: str, text: str) -> str:
    """A number with its sign in front; SAP writes a minus behind the digits."""
    if text[:1] not in ("+", "-") and text.endswith("-"):
        text = "-" + text[:-1]
    return _lexical(f"[+-]?(?:{digits})", text)


def _lexical(pattern: str, text: str) -> str:
    """The text if it is a number or truth value as XML Schema writes it (Part 2, section 3.2).

    Python alone would take more: underscores, digits of other scripts, NaN.
    """
    if len(text) > 64 or re.fullmatch(pattern, text) is None:
        raise ValueError("not in the lexical space")
    return text


_READ: Mapping[ValueType, Callable[[str], Any]] = {
    "decimal": _decimal,
    "decimal_comma": _decimal_comma,
    "int": _int,
    "float": _float,
    "bool": _bool,
}
