"""Hints of a push (collapse key, time to live, priority), made to fit what each service takes: no hint costs a push."""

import re
from base64 import b32encode
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from hub.dates import parse_date
from hub.errors import InvalidRequestError

MAX_COLLAPSE_ID: Final = 64  # bytes, `apns-collapse-id`; the keys of FCM, which names no limit, count in its payload
MAX_WNS_TAG: Final = 16  # letters and digits
MAX_WNS_TTL: Final = 2_592_000  # seconds; a channel lives 30 days, so a longer time means nothing
MAX_APNS_EXPIRATION: Final = 2**31 - 1  # seconds since 1970; Apple keeps a push 30 days, so a later time means nothing

_HASH_BYTES: Final = 20
_HEADER_SAFE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_TAG = re.compile(r"[A-Za-z0-9]+")
_UTF_8 = re.compile(r"[^\ud800-\udfff]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def collapse_id(key: str | None) -> str | None:
    """The key where it can stand in a header and has up to 64 bytes, else its hash; None for a blank key.

    The same key gives the same id on every push, and distinct keys give distinct ids.
    """
    return _fitted(key, _HEADER_SAFE, MAX_COLLAPSE_ID)


@lru_cache(maxsize=1024)  # a page has one, and hashing costs more than looking it up
def wns_tag(key: str | None) -> str | None:
    """As `collapse_id`, for `X-WNS-Tag` and `X-WNS-Group`: up to 16 letters and digits."""
    return _fitted(key, _TAG, MAX_WNS_TAG)


def fcm_key(key: str | None) -> str | None:
    """As `collapse_id`, for `collapse_key` and `tag`: JSON takes any text."""
    return _fitted(key, _UTF_8, MAX_COLLAPSE_ID)


def _fitted(key: str | None, allowed: re.Pattern[str], limit: int) -> str | None:
    if key is None or not key.strip():
        return None
    raw = key.encode("utf-8", "surrogatepass")
    if len(raw) <= limit and allowed.fullmatch(key):
        return key
    # Base 32 in lower case: letters and digits only, and no two hashes differ in case alone.
    size = min(_HASH_BYTES, limit * 5 // 8)
    return b32encode(blake2b(raw, digest_size=size).digest()).decode().lower()


def _expiration(text: str) -> str | None:
    """Seconds since 1970, also from a date; None for a text that is neither."""
    if text.isascii() and text.isdigit():
        return text if len(text) < len(str(MAX_APNS_EXPIRATION)) else str(_bounded(text, MAX_APNS_EXPIRATION))
    try:
        return str(min(max(int(parse_date(text).timestamp()), 0), MAX_APNS_EXPIRATION))
    except InvalidRequestError:
        return None


def _wns_ttl(text: str) -> str | None:
    return str(_bounded(text, MAX_WNS_TTL)) if text.isascii() and text.isdigit() else None


def _bounded(digits: str, most: int) -> int:
    # A text of thousands of digits is more than `int` reads.
    return most if len(digits.lstrip("0")) > len(str(most)) else min(int(digits), most)


def _one_of(*values: str) -> Callable[[str], str | None]:
    return lambda text: text.lower() if text.lower() in values else None


_HEADERS: Final[Mapping[str, Callable[[str], str | None]]] = {
    "apns-collapse-id": collapse_id,
    "apns-expiration": _expiration,
    "apns-priority": _one_of("10", "5", "1"),
    "x-wns-cache-policy": _one_of("cache", "no-cache"),
    "x-wns-group": wns_tag,
    "x-wns-priority": _one_of("1", "2", "3", "4"),
    "x-wns-suppresspopup": _one_of("true", "false"),
    "x-wns-tag": wns_tag,
    "x-wns-ttl": _wns_ttl,
    "ms-cv": lambda text: None if _CONTROL.search(text) or not text.isascii() else text,
}
"""What each header that is a hint may say; None leaves the header out, and then the derived value stands."""


def fit_headers(fields: Mapping[str, str]) -> dict[str, str]:
    """Header fields by lower-case name, each hint among them made to fit its service or left out."""
    fitted = {}
    for name, value in fields.items():
        fit = _HEADERS.get(name)
        kept = value if fit is None else fit(value)
        if kept is not None:
            fitted[name] = kept
    return fitted


_DURATION = re.compile(r"(-?)([0-9]{1,18}(?:\.[0-9]{1,9})?)s?")
_FCM_PRIORITIES: Final = ("high", "normal")


def fcm_ttl(value: object, most: int) -> str | None:
    """A duration as FCM writes it (`3.5s`), from 0 to `most` seconds; None for a value that is no number of seconds."""
    match = _DURATION.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if match is None:
        return None
    sign, seconds = match.groups()
    if sign:
        return "0s"
    return f"{most}s" if float(seconds) > most else f"{seconds}s"


def fcm_priority(value: object) -> str | None:
    """`high` or `normal`, the words of FCM in any case; None for another value."""
    return value if isinstance(value, str) and value.lower() in _FCM_PRIORITIES else None


def fcm_text(value: object) -> str | None:
    """A text where FCM wants one: a number becomes one; None for a blank text and for what is no scalar."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    return text if text.strip() else None
