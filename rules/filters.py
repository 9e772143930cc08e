"""The filters that `{{ }}` and `when` offer: pure, and none makes more than a little text out of a little."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

from jinja2 import Undefined

from rules.errors import RenderError
from rules.event import Opaque
from rules.text import text_of

_MASK = "••••"
_ELLIPSIS = "…"


def _default(value: Any, fallback: Any) -> Any:
    return fallback if isinstance(value, Undefined) or value is None else value


def _lower(value: Any) -> str:
    return text_of(value).lower()


def _upper(value: Any) -> str:
    return text_of(value).upper()


def _title(value: Any) -> str:
    return text_of(value).title()


def _trim(value: Any) -> str:
    return text_of(value).strip()


def _truncate(value: Any, length: int) -> str:
    text = text_of(value)
    return text if len(text) <= length else text[: max(length - 1, 0)].rstrip() + _ELLIPSIS


def _mask(value: Any, shown: int = 4) -> str:
    """The last `shown` characters behind dots; a text no longer than that is hidden whole."""
    text = text_of(value)
    return _MASK + text[-shown:] if 0 < shown < len(text) else _MASK


def _replace(value: Any, old: str, new: str) -> str:
    return text_of(value).replace(old, new)


def _basename(value: Any) -> str:
    return text_of(value).rstrip("/").rsplit("/", 1)[-1]


def _urlencode(value: Any) -> str:
    return quote(text_of(value), safe="")


def _string(value: Any) -> str:
    return text_of(value)


def _number(value: Any) -> Decimal:
    try:
        number = Decimal(text_of(value).strip())
    except InvalidOperation:
        raise RenderError("is not a number") from None
    if not number.is_finite() or abs(number.adjusted()) > 30:
        raise RenderError("is out of range")
    return number


def _int(value: Any) -> int:
    return int(_number(value))


def _float(value: Any) -> float:
    return float(_number(value))


def _round(value: Any, digits: int = 0) -> Decimal:
    return round(_number(value), digits)


def _abs(value: Any) -> Decimal:
    return abs(_number(value))


def _length(value: Any) -> int:
    return len(text_of(value)) if isinstance(value, str) else len(_items(value))


def _items(value: Any) -> Sequence[Any]:
    """The elements; what is no list is a list of one, as XML has it: nothing there tells one element from a list."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, Undefined) or value is None or isinstance(value, Opaque):
        text_of(value)  # raises
    return [value]


def _join(value: Any, separator: str = ", ") -> str:
    return separator.join(map(text_of, _items(value)))


def _first(value: Any) -> Any:
    return _end(value, 0)


def _last(value: Any) -> Any:
    return _end(value, -1)


def _end(value: Any, index: int) -> Any:
    items = _items(value)
    if not items:
        raise RenderError("is an empty list")
    return items[index]


FILTERS: Mapping[str, Callable[..., Any]] = {
    "abs": _abs,
    "basename": _basename,
    "default": _default,
    "first": _first,
    "float": _float,
    "int": _int,
    "join": _join,
    "last": _last,
    "length": _length,
    "lower": _lower,
    "mask": _mask,
    "number": _number,
    "replace": _replace,
    "round": _round,
    "string": _string,
    "title": _title,
    "trim": _trim,
    "truncate": _truncate,
    "upper": _upper,
    "urlencode": _urlencode,
}
"""By name. Their arguments are constants, but for `default`: so no event can make a filter's result large."""
