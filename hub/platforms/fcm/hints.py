"""Hints in `message.android`, made to fit what FCM takes (Firebase, "REST Resource: projects.messages")."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from hub.platforms.hints import MAX_COLLAPSE_ID, fitted_key

MAX_TTL: Final = 2_419_200  # seconds, four weeks

_UTF_8 = re.compile(r"[^\ud800-\udfff]+")
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


def fcm_key(key: str | None) -> str | None:
    """As `collapse_id`, for `collapse_key` and `tag`: JSON takes any text."""
    return fitted_key(key, _UTF_8, MAX_COLLAPSE_ID)


HINTS: Final[Mapping[str, Callable[[object], str | None]]] = {
    "priority": fcm_priority,
    "ttl": lambda value: fcm_ttl(value, MAX_TTL),
    "collapse_key": fcm_text,
    "collapseKey": fcm_text,
}
"""What each field of `message.android` that is a hint may say; None leaves it out."""
