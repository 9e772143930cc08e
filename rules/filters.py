"""The filters that `{{ }}` and `when` offer: pure, and none makes more than a little text out of a little.

A filter of Jinja's name does what Jinja's does and takes its arguments by the same names. These differ on purpose:
null has no text, and a value that is no number fails `int` and `float` unless their `default` is given; `truncate` keeps
to its length; numbers are exact decimals.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any

from jinja2.filters import do_title, do_urlencode

from hub.times import parse_time
from rules import localised, numbers
from rules.errors import RenderError
from rules.event import MISSING, Opaque
from rules.text import text_of

_MASK = "••••"
_MAX_REPLACED = 1024 * 1024
"""Characters that `replace` may make a text grow to: `truncate` may follow it, or another `replace`."""

_ELLIPSIS = "…"


def is_absent(value: Any, boolean: bool) -> bool:
    """Whether `default` stands in for a value: it is missing or null or, if `boolean`, anything that counts as false."""
    return value is MISSING or value is None or (boolean and not value)


def _default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    return default_value if is_absent(value, boolean) else value


def _lower(value: Any) -> str:
    return text_of(value).lower()


def _upper(value: Any) -> str:
    return text_of(value).upper()


def _title(value: Any) -> str:
    return do_title(text_of(value))


def _trim(value: Any, chars: str | None = None) -> str:
    return text_of(value).strip(chars)


def _truncate(value: Any, length: int, killwords: bool | None = None, end: str = _ELLIPSIS, leeway: int = 0) -> str:
    """At most `length` characters, and `leeway`; `killwords` false cuts no word, true keeps a space before `end`.

    Raises: RenderError: `end` alone is longer than `length`, for any value, as in Jinja.
    """
    text = text_of(value)
    if length < len(end):
        raise RenderError(f"a length of {length} leaves no room for its end, of {len(end)}")
    if len(text) <= length + leeway:
        return text
    kept = text[: max(length - len(end), 0)]
    if killwords is None:
        return kept.rstrip() + end
    return (kept if killwords else kept.rsplit(" ", 1)[0]) + end


def _mask(value: Any, shown: int = 4) -> str:
    """The last `shown` characters behind dots; a text no longer than that is hidden whole."""
    text = text_of(value)
    return _MASK + text[-shown:] if 0 < shown < len(text) else _MASK


def _replace(value: Any, old: str, new: str, count: int | None = None) -> str:
    text, old, new = text_of(value), text_of(old), text_of(new)
    found = (text.count(old) if old else len(text) + 1) if len(new) > len(old) else 0
    size = len(text) + (min(found, count) if count is not None and count >= 0 else found) * (len(new) - len(old))
    if found and size > _MAX_REPLACED:
        raise RenderError(f"would have {size} characters after replace, {_MAX_REPLACED} are allowed")
    return text.replace(old, new, -1 if count is None else count)


def _basename(value: Any) -> str:
    return text_of(value).rstrip("/").rsplit("/", 1)[-1]


def _urlencode(value: Any) -> str:
    """A text for the path of a URL, whose `/` stay; of an object its fields as a query."""
    if isinstance(value, Mapping):
        return do_urlencode({name: text_of(entry) for name, entry in value.items()})
    return do_urlencode(text_of(value))


def _string(value: Any) -> str:
    return text_of(value)


def _epoch(value: Any) -> int:
    """Whole seconds since 1970 of a time in any form that times have; one without an offset is in UTC."""
    try:
        return int(parse_time(value).timestamp())
    except ValueError:
        raise RenderError("is not a time") from None


def _int(value: Any, default: Any = MISSING, base: int = 10) -> Any:
    if isinstance(value, str) and base != 10:
        return _or_default(lambda: _based(value, base), default)
    return _or_default(lambda: int(numbers.number_of(value)), default)


def _based(text: str, base: int) -> int:
    try:
        return int(numbers.bounded(int(text, base)))
    except ValueError:
        raise RenderError("is not a number") from None


def _float(value: Any, default: Any = MISSING) -> Any:
    return _or_default(lambda: _nearest_float(numbers.number_of(value)), default)


def _nearest_float(number: int | Decimal) -> float:
    try:
        nearest = float(number)
    except OverflowError:
        nearest = float("inf")
    if not isfinite(nearest):
        raise RenderError("is a number too large for a float")
    return nearest


def _or_default(convert: Callable[[], Any], default: Any) -> Any:
    try:
        return convert()
    except RenderError:
        if default is MISSING:
            raise
        return default


def _round(value: Any, precision: int = 0, method: str = "common") -> int | Decimal:
    return numbers.rounded(numbers.number_of(value), precision, method)


def _abs(value: Any) -> int | Decimal:
    return abs(number) if isinstance(number := numbers.number_of(value), int) else number.copy_abs()


def _length(value: Any) -> int:
    return len(text_of(value)) if isinstance(value, str) else len(_items(value))


def _items(value: Any) -> Sequence[Any]:
    """The elements; a value that is no list is a list of one: XML does not distinguish the two."""
    if isinstance(value, list | tuple):
        return value
    if value is MISSING or value is None or isinstance(value, Opaque):
        text_of(value)  # raises
    return [value]


def _join(value: Any, d: str = "", attribute: str | int | None = None) -> str:
    items = _items(value)
    if attribute is not None:
        items = [_attribute(item, attribute) for item in items]
    return text_of(d).join(map(text_of, items))


def _attribute(item: Any, path: str | int) -> Any:
    """The value at a path with dots, as Jinja reads `attribute`; a whole number is an index."""
    try:
        for name in str(path).split("."):
            item = item[int(name) if name.isdecimal() else name]
    except (LookupError, TypeError):
        raise RenderError(f"has an element without {path}") from None
    return item


def _first(value: Any) -> Any:
    return _end(value, 0)


def _last(value: Any) -> Any:
    return _end(value, -1)


def _end(value: Any, index: int) -> Any:
    items = _items(value)
    return items[index] if items else MISSING


FILTERS: Mapping[str, Callable[..., Any]] = {
    **localised.FILTERS,
    "abs": _abs,
    "basename": _basename,
    "default": _default,
    "epoch": _epoch,
    "first": _first,
    "float": _float,
    "int": _int,
    "join": _join,
    "last": _last,
    "length": _length,
    "lower": _lower,
    "mask": _mask,
    "number": numbers.number_of,
    "replace": _replace,
    "round": _round,
    "string": _string,
    "title": _title,
    "trim": _trim,
    "truncate": _truncate,
    "upper": _upper,
    "urlencode": _urlencode,
}
"""By name. Their arguments are constants, but for `default` and the currency of `money`, and what `replace` adds has a
bound: no event can make a result large."""
