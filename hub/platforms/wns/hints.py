"""Headers of WNS that are hints, made to fit (Microsoft, "Push notification service request and response headers")."""

import re
from functools import lru_cache
from typing import Final

from hub.characters import CONTROLS
from hub.platforms.hints import Hints, bounded, fitted_key, one_of

MAX_TAG: Final = 16  # letters and digits
MAX_TTL: Final = 2_592_000  # seconds; a channel lives 30 days, so a longer time means nothing

_TAG = re.compile(r"[A-Za-z0-9]+")


@lru_cache(maxsize=1024)  # a page has one, and hashing costs more than looking it up
def wns_tag(key: str | None) -> str | None:
    """As `collapse_id`, for `X-WNS-Tag` and `X-WNS-Group`: up to 16 letters and digits."""
    return fitted_key(key, _TAG, MAX_TAG)


def _ttl(text: str) -> str | None:
    return str(bounded(text, MAX_TTL)) if text.isascii() and text.isdigit() else None


HINTS: Final[Hints] = {
    "x-wns-cache-policy": one_of("cache", "no-cache"),
    "x-wns-group": wns_tag,
    "x-wns-priority": one_of("1", "2", "3", "4"),
    "x-wns-suppresspopup": one_of("true", "false"),
    "x-wns-tag": wns_tag,
    "x-wns-ttl": _ttl,
    "ms-cv": lambda text: None if CONTROLS.search(text) or not text.isascii() else text,
}
