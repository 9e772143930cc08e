"""Filters that write a value as people of a place do, by CLDR's data (Unicode, UTS 35).

A locale is named as CLDR names it (`de-CH`, `ar-EG`), a currency by ISO 4217, a time zone by the IANA database. The data
of a locale are read when a rule first names it.
"""

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hub.times import parse_time
from rules import numbers
from rules.errors import RenderError
from rules.text import text_of

if TYPE_CHECKING:
    from babel import Locale
    from babel.numbers import NumberPattern

READER: Final = "\0reader"
"""A time zone that no text can name: that of who reads, which `reading_in` says."""

_reader_zone: ContextVar[str] = ContextVar("reader_zone", default="UTC")

LENGTHS: Final = ("short", "medium", "long", "full")
CATEGORIES: Final = ("zero", "one", "two", "few", "many", "other")
"""Of plurals, in CLDR's words (UTS 35, part 3)."""

_MAX_DIGITS: Final = 20
_WIDE_GROUPS: Final = frozenset({"be", "bg", "et", "hu", "hy", "ia", "ie", "it", "ka", "lv", "pl", "sl", "sq"})
_ZEROS: Final = {
    "adlm": 0x1E950,
    "arab": 0x0660,
    "arabext": 0x06F0,
    "beng": 0x09E6,
    "cakm": 0x11136,
    "deva": 0x0966,
    "hmnp": 0x1E140,
    "mtei": 0xABF0,
    "mymr": 0x1040,
    "nkoo": 0x07C0,
    "olck": 0x1C50,
    "tibt": 0x0F20,
}
"""The first of ten digits in Unicode, of each numbering system that is the default of a locale of CLDR 48."""

Length = Literal["short", "medium", "long", "full"]


def money(value: Any, currency: Any, locale: str = "en") -> str:
    """An amount with its currency, rounded to the currency's own digits: 0 of JPY, 3 of KWD."""
    from babel.numbers import get_currency_precision, get_currency_symbol

    code = currency if isinstance(currency, str) else text_of(currency)
    if code not in _currencies():
        raise RenderError("is an amount in a currency that ISO 4217 does not know")
    found = _locale(locale)
    pattern = found.currency_formats["standard"]
    number, negative = _number(numbers.number_of(value), get_currency_precision(code), pattern, found)
    symbol = get_currency_symbol(code, found)
    return "".join(
        (
            _affix(pattern.prefix[negative], symbol, found, before=True),
            number,
            _affix(pattern.suffix[negative], symbol, found, before=False),
        )
    )


def number_format(value: Any, digits: int | None = None, locale: str = "en") -> str:
    """A number with the locale's digits, separators and groups; it keeps its decimals, or has `digits` of them."""
    number, found = numbers.number_of(value), _locale(locale)
    if digits is None:
        exponent = Decimal(number).as_tuple().exponent
        digits = max(-exponent, 0) if isinstance(exponent, int) else 0
    pattern = found.decimal_formats[None]
    text, negative = _number(number, digits, pattern, found)
    return f"{_affix(pattern.prefix[negative], '', found, before=True)}{text}{pattern.suffix[negative]}"


def date(value: Any, format: Length = "medium", locale: str = "en", timezone: str = "UTC") -> str:
    """The day of a time in the zone."""
    from babel.dates import format_date

    found = _locale(locale)
    return format_date(_local_time(value, timezone).date(), format, locale=found).translate(_digits_of(found))


def date_time(value: Any, format: Length = "medium", locale: str = "en", timezone: str = "UTC") -> str:
    """Day and time of day in the zone."""
    from babel.dates import format_datetime

    found, at = _locale(locale), _local_time(value, timezone)
    return format_datetime(at, format, tzinfo=_zone(timezone), locale=found).translate(_digits_of(found))


def plural(value: Any, locale: str = "en", **texts: str) -> str:
    """The text for the number's plural category in the locale; `#` in it stands for the number as the locale writes it."""
    number = _absolute(numbers.number_of(value))
    with localcontext(numbers.PRECISE):  # the rules of a locale take remainders, of a number with any digits
        category = _locale(locale).plural_form(number)
    return texts.get(category, texts["other"]).replace("#", number_format(value, locale=locale))


def check(name: str, arguments: Mapping[str, Any]) -> None:
    """Raises: ValueError: what these constants say can never be."""
    if (locale := arguments.get("locale")) is not None:
        _locale(locale)
    if (timezone := arguments.get("timezone")) is not None:
        _zone(timezone)
    if (length := arguments.get("format")) is not None and length not in LENGTHS:
        raise ValueError(f"format is one of {', '.join(LENGTHS)}")
    if (currency := arguments.get("currency")) is not None and currency not in _currencies():
        raise ValueError(f"there is no currency {currency!r} (ISO 4217 has three capital letters, such as CHF)")
    digits = arguments.get("digits")
    if digits is not None and (type(digits) is not int or not 0 <= digits <= _MAX_DIGITS):
        raise ValueError(f"digits is a whole number up to {_MAX_DIGITS}")
    if name == "plural":
        _check_plural(arguments)


def _check_plural(arguments: Mapping[str, Any]) -> None:
    texts = {key: value for key, value in arguments.items() if key != "locale"}
    locale = arguments.get("locale", "en")
    known = sorted({"other", *_locale(locale).plural_form.tags}, key=CATEGORIES.index)
    if wrong := [key for key in texts if key not in known]:
        raise ValueError(f"{locale} has no plural {wrong[0]!r}, only {', '.join(known)}")
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("each of its forms is a text")
    if "other" not in texts:
        raise ValueError("the form other='…' is missing, which all other numbers have")


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "date": date,
    "datetime": date_time,
    "money": money,
    "number_format": number_format,
    "plural": plural,
}


@lru_cache(maxsize=256)
def _locale(name: Any) -> "Locale":
    """Raises: ValueError."""
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(name, sep="-" if "-" in name else "_")
    except (UnknownLocaleError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"there is no locale {name!r} (de, de-CH, pt-BR and others of CLDR)") from error


@contextmanager
def reading_in(timezone: str) -> Iterator[None]:
    """Times for a reader are in this zone."""
    token = _reader_zone.set(timezone)
    try:
        yield
    finally:
        _reader_zone.reset(token)


def _zone(name: Any) -> ZoneInfo:
    """Raises: ValueError."""
    return _zone_named(_reader_zone.get() if name == READER else name)


@lru_cache(maxsize=1024)
def _zone_named(name: Any) -> ZoneInfo:
    """Raises: ValueError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        raise ValueError(f"there is no time zone {name!r} (Europe/Zurich, UTC and others of IANA)") from error


def _number(number: int | Decimal, digits: int, pattern: "NumberPattern", locale: "Locale") -> tuple[str, bool]:
    """The number without its sign, and whether it has one.

    Babel loses groups that an apostrophe parts, and knows no digits but ours.
    """
    from babel.numbers import get_decimal_symbol, get_group_symbol

    rounded = Decimal(numbers.rounded(_absolute(number), digits))
    whole, _, fraction = f"{rounded:.{digits}f}".partition(".")
    size, larger = pattern.grouping
    if len(whole) - size >= _least_grouped(locale):
        groups = [whole[-size:]]
        whole = whole[:-size]
        while whole:
            groups.insert(0, whole[-larger:])
            whole = whole[:-larger]
        whole = get_group_symbol(locale, numbering_system="default").join(groups)
    if fraction:
        whole += get_decimal_symbol(locale, numbering_system="default") + fraction
    return whole.translate(_digits_of(locale)), number < 0 and rounded != 0


def _absolute(number: int | Decimal) -> int | Decimal:
    """Without its sign, exactly: a zero of a float or a text may have one too."""
    return number.copy_abs() if isinstance(number, Decimal) else abs(number)


def _affix(text: str, symbol: str, locale: "Locale", *, before: bool) -> str:
    """What stands before or behind a number; a currency of letters keeps a space from it (UTS 35, `currencySpacing`)."""
    from babel.numbers import get_minus_sign_symbol

    text = text.replace("-", get_minus_sign_symbol(locale, numbering_system="default"))
    if "\N{CURRENCY SIGN}" not in text:
        return text
    text = text.replace("\N{CURRENCY SIGN}", symbol)
    if before and text.endswith(symbol) and unicodedata.category(symbol[-1])[0] not in "SZ":
        return f"{text}\N{NO-BREAK SPACE}"
    if not before and text.startswith(symbol) and unicodedata.category(symbol[0])[0] not in "SZ":
        return f"\N{NO-BREAK SPACE}{text}"
    return text


def _least_grouped(locale: "Locale") -> int:
    """How many digits stand before the last group at least, where there are groups (CLDR 48, `minimumGroupingDigits`)."""
    if locale.language == "pt":
        return 1 if locale.territory in (None, "BR") else 2
    if locale.language == "es":
        return 2 if locale.territory in (None, "ES", "EA", "IC", "GQ", "PH") else 1
    return 2 if locale.language in _WIDE_GROUPS else 1


def _digits_of(locale: "Locale") -> Mapping[int, str]:
    """From our digits to the locale's own; most have ours."""
    zero = _ZEROS.get(locale.default_numbering_system)
    return {} if zero is None else {ord("0") + digit: chr(zero + digit) for digit in range(10)}


@lru_cache(maxsize=1)
def _currencies() -> frozenset[str]:
    from babel.numbers import list_currencies

    return frozenset(list_currencies())


def _local_time(value: Any, timezone: str) -> datetime:
    """A time without an offset, a day among them, is one of the zone's."""
    zone = _zone(timezone)
    try:
        return parse_time(value if isinstance(value, int | str) else text_of(value), zone).astimezone(zone)
    except (ValueError, OverflowError) as error:
        raise RenderError(f"is no time: {error}") from None
