"""What a phone says of itself: its language and its time zone.

Each is a property of its installation (`locale`, `timeZone`), else the push variable of that name, which apps set that
register by an SDK of the wire contract. A property is checked when it is written; a push variable may be any text, and one
that names no language or no zone is as if the phone had not said it.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hub.errors import InvalidRequestError

LOCALE, TIME_ZONE = "locale", "timeZone"
"""How the properties are called, and the push variables that stand in for them."""

_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,4}")
_TIME_ZONE: Final = re.compile(r"[A-Za-z0-9_+/-]{1,64}")


def checked_locale(text: str) -> str:
    """A language tag as it is kept (BCP 47, with `-`). Raises: InvalidRequestError."""
    if not _LOCALE.fullmatch(text):
        raise InvalidRequestError(f"locale: {text[:60]!r} is no language tag, such as de or de-CH")
    return text.replace("_", "-")


def checked_time_zone(text: str) -> str:
    """The name of a time zone of the IANA database. Raises: InvalidRequestError."""
    if not is_time_zone(text):
        raise InvalidRequestError(f"timeZone: {text[:60]!r} is no time zone of IANA, such as Europe/Zurich")
    return text


@lru_cache(maxsize=1024)
def is_time_zone(text: str) -> bool:
    """Whether the IANA database knows a zone of this name."""
    if not _TIME_ZONE.fullmatch(text):
        return False
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def locale_of(own: str | None, push_variables: Mapping[str, str] | None) -> str:
    """A phone's language tag, by the property `own` or its push variables; empty where it says none."""
    return own or _locale(_variable(push_variables, LOCALE))


def time_zone_of(own: str | None, push_variables: Mapping[str, str] | None) -> str:
    """The name of a phone's time zone, likewise."""
    if own:
        return own
    said = _variable(push_variables, TIME_ZONE)
    return said if said and is_time_zone(said) else ""


def with_said(push_variables: Mapping[str, str], locale: str, time_zone: str) -> Mapping[str, str]:
    """Push variables that say what the properties say: the form of registrations, which have no such properties."""
    said = {name: text for name, text in ((LOCALE, locale), (TIME_ZONE, time_zone)) if text}
    if not said:
        return push_variables
    others = {name: text for name, text in push_variables.items() if name.lower() not in map(str.lower, said)}
    return {**others, **said}


@lru_cache(maxsize=1024)
def _locale(text: str) -> str:
    return text.replace("_", "-") if _LOCALE.fullmatch(text) else ""


def _variable(push_variables: Mapping[str, str] | None, name: str) -> str:
    """Names of push variables compare without case."""
    if not push_variables:
        return ""
    if name in push_variables:
        return push_variables[name]
    wanted = name.lower()
    return next((text for each, text in push_variables.items() if each.lower() == wanted), "")
