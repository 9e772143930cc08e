"""Hints of a push (collapse key, time to live, priority), made to fit what each service takes: no hint costs a push."""

import re
from base64 import b32encode
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Final

MAX_COLLAPSE_ID: Final = 64  # bytes, `apns-collapse-id`; the keys of FCM, which names no limit, count in its payload

_HASH_BYTES: Final = 20
_HEADER_SAFE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")


def collapse_id(key: str | None) -> str | None:
    """The key where it can stand in a header and has up to 64 bytes, else its hash; None for a blank key.

    The same key gives the same id on every push, and distinct keys give distinct ids.
    """
    return fitted_key(key, _HEADER_SAFE, MAX_COLLAPSE_ID)


def fitted_key(key: str | None, allowed: re.Pattern[str], limit: int) -> str | None:
    """As `collapse_id`, for a service that takes what `allowed` matches, up to `limit` bytes."""
    if key is None or not key.strip():
        return None
    raw = key.encode("utf-8", "surrogatepass")
    if len(raw) <= limit and allowed.fullmatch(key):
        return key
    # Base 32 in lower case: letters and digits only, and no two hashes differ in case alone.
    size = min(_HASH_BYTES, limit * 5 // 8)
    return b32encode(blake2b(raw, digest_size=size).digest()).decode().lower()


def bounded(digits: str, most: int) -> int:
    """A whole number in decimal digits, `most` at most."""
    # A text of thousands of digits is more than `int` reads.
    return most if len(digits.lstrip("0")) > len(str(most)) else min(int(digits), most)


def one_of(*values: str) -> Callable[[str], str | None]:
    """A hint that is one of some words, in any case."""
    return lambda text: text.lower() if text.lower() in values else None


Hints = Mapping[str, Callable[[str], str | None]]
"""What each header that is a hint may say, by its lower-case name; None leaves it out: the derived value stands."""


def fit_headers(fields: Mapping[str, str], hints: Hints) -> dict[str, str]:
    """Header fields by lower-case name, each hint among them made to fit its service or left out."""
    fitted = {}
    for name, value in fields.items():
        fit = hints.get(name)
        kept = value if fit is None else fit(value)
        if kept is not None:
            fitted[name] = kept
    return fitted
