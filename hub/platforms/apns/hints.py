"""Headers of APNs that are hints, made to fit what Apple takes (Apple, "Sending notification requests to APNs")."""

from typing import Final

from hub.dates import parse_date
from hub.errors import InvalidRequestError
from hub.platforms.hints import Hints, bounded, collapse_id, one_of

MAX_EXPIRATION: Final = 2**31 - 1  # seconds since 1970; Apple keeps a push 30 days, so a later time means nothing
PRIORITIES: Final = ("10", "5", "1")


def _expiration(text: str) -> str | None:
    """Seconds since 1970, also from a date; None for a text that is neither."""
    if text.isascii() and text.isdigit():
        return text if len(text) < len(str(MAX_EXPIRATION)) else str(bounded(text, MAX_EXPIRATION))
    try:
        return str(min(max(int(parse_date(text).timestamp()), 0), MAX_EXPIRATION))
    except InvalidRequestError:
        return None


COLLAPSE_ID: Final = "apns-collapse-id"

HINTS: Final[Hints] = {
    COLLAPSE_ID: collapse_id,
    "apns-expiration": _expiration,
    "apns-priority": one_of(*PRIORITIES),
}
